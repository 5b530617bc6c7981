#include <weft/process/array.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/process/sendable.hpp>

#include "support/eventually.hpp"
#include "support/in_child.hpp"

namespace weft::test {
namespace {

using process::Array;
using process::ctype;
using process::Incoming;
using process::no_lock;
using process::Outgoing;
using process::RLock;

template <class T>
T sent(const T& value) {
  Outgoing out;
  out(value);
  Incoming in{out.bytes(), out.take_descriptors()};
  return in.receive<T>();
}

template <class T>
std::vector<T> all(std::span<T> elements) {
  return {elements.begin(), elements.end()};
}

TEST(Array, OfALengthIsZeros) {
  const Array<int> array(1'000);
  EXPECT_EQ(array.size(), 1'000U);
  EXPECT_EQ(std::count(array.begin(), array.end(), 0), 1'000);
}

TEST(Array, OfValuesHoldsThem) {
  const Array<double> array{1, 2.5, -3};
  EXPECT_EQ(all(array.span()), (std::vector<double>{1, 2.5, -3}));
  const Array<long> copied(std::vector<long>{4, 5});
  EXPECT_EQ(all(copied.span()), (std::vector<long>{4, 5}));
  const Array<short> one{7};
  EXPECT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0], 7);
}

TEST(Array, CanBeEmpty) {
  const Array<int> array(0);
  EXPECT_TRUE(array.empty());
  EXPECT_EQ(array.begin(), array.end());
  EXPECT_TRUE(sent(array).empty());
  EXPECT_THROW((void)array.at(0), std::out_of_range);
}

TEST(Array, IsSharedByFork) {
  const Array<int> array{1, 2, 3};
  EXPECT_EQ(in_child([&] {
              array[0] = 10;
              array.at(-1) = 30;
              return array[1] == 2 ? 0 : 1;
            }),
            0);
  EXPECT_EQ(all(array.span()), (std::vector<int>{10, 2, 30}));
}

TEST(Array, IsSentByItsDescriptorWhateverItsSizeIs) {
  const Array<std::byte> array(std::size_t{64} << 20);
  Outgoing out;
  out(array);
  EXPECT_LT(out.bytes().size(), 1'000U);
  const Array<std::byte> there = sent(array);
  EXPECT_EQ(there.size(), array.size());
  there[there.size() - 1] = std::byte{7};
  EXPECT_EQ(array[array.size() - 1], std::byte{7});
}

TEST(Array, IsSentWithItsLock) {
  Array<int> array(1);
  Array<int> there = sent(array);
  const std::scoped_lock guard{array};
  EXPECT_EQ(in_child([&] { return there.try_lock() ? 1 : 0; }), 0);
  EXPECT_FALSE(sent(Array<int>(1, no_lock)).has_lock());
}

TEST(Array, WithElementsOfAnotherSizeIsRefusedByItsReceiver) {
  Outgoing out;
  out(Array<int>(4));
  Incoming in{out.bytes(), out.take_descriptors()};
  EXPECT_THROW((void)in.receive<Array<long>>(), ProtocolError);
}

TEST(Array, ChecksItsBoundsWhenAsked) {
  const Array<int> array{1, 2, 3};
  EXPECT_EQ(array.at(2), 3);
  EXPECT_EQ(array.at(-3), 1);
  EXPECT_THROW((void)array.at(3), std::out_of_range);
  EXPECT_THROW((void)array.at(-4), std::out_of_range);
}

TEST(Array, IsSlicedAsInPython) {
  const Array<int> array{0, 1, 2, 3, 4};
  EXPECT_EQ(all(array.slice(1, 3)), (std::vector<int>{1, 2}));
  EXPECT_EQ(all(array.slice(3)), (std::vector<int>{3, 4}));
  EXPECT_EQ(all(array.slice(-2)), (std::vector<int>{3, 4}));
  EXPECT_EQ(all(array.slice(0, -4)), (std::vector<int>{0}));
  EXPECT_EQ(all(array.slice(-100, 100)), (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_TRUE(array.slice(3, 2).empty());
  EXPECT_TRUE(array.slice(5).empty());
  array.slice(1, 3)[0] = 10;  // the elements themselves
  EXPECT_EQ(array[1], 10);
}

TEST(Array, IsIteratedAndFilled) {
  const Array<int> array(4);
  std::iota(array.begin(), array.end(), 1);
  int sum = 0;
  for (const int element : array) sum += element;
  EXPECT_EQ(sum, 10);
  array.fill(5);
  EXPECT_EQ(all(array.span()), (std::vector<int>{5, 5, 5, 5}));
}

TEST(Array, WithItsLockHeldLosesNoUpdate) {
  constexpr int kChildren = 4, kTimes = 2'000;
  Array<long> array(2);
  std::vector<pid_t> pids;
  for (int i = 0; i < kChildren; ++i)
    pids.push_back(start_child([&] {
      for (int k = 0; k < kTimes; ++k) {
        const std::scoped_lock guard{array};
        ++array[0];
        --array[1];
      }
      return 0;
    }));
  for (const pid_t pid : pids) EXPECT_EQ(end_of_child(pid), 0);
  EXPECT_EQ(all(array.span()), (std::vector<long>{kChildren * kTimes, -kChildren * kTimes}));
}

TEST(Array, AHolderThatWasKilledIsNoHang) {
  Array<int> array(2);
  EXPECT_EQ(in_child([&] {
              array.lock();
              array[0] = 1;
              return ::raise(SIGKILL);  // before array[1] = 1
            }),
            -SIGKILL);
  ASSERT_TRUE(array.try_lock_for(kPatience));
  EXPECT_TRUE(array.get_lock().owner_died());
  array.unlock();
}

TEST(Array, OfCharactersIsAText) {
  Array<ctype<'c'>> array(8);
  array.set_value("hello");
  EXPECT_EQ(array.value(), "hello");
  array.set_value("12345678");  // no NUL
  EXPECT_EQ(array.value(), "12345678");
  array.set_value("");
  EXPECT_EQ(array.value(), "");
  EXPECT_THROW(array.set_value("123456789"), std::invalid_argument);
  EXPECT_EQ(Array<char>(std::string{"abc"}).value(), "abc");
}

TEST(Array, WithALockOfOnesOwnSharesIt) {
  RLock lock;
  Array<int> array(3, lock);
  const std::scoped_lock guard{lock};
  EXPECT_EQ(in_child([&] { return array.try_lock() ? 1 : 0; }), 0);
  EXPECT_TRUE(array.try_lock());
  array.unlock();
}

TEST(Array, ThatNoMemoryCanHoldIsRefused) {
  constexpr auto kTooMany = std::numeric_limits<std::size_t>::max();
  EXPECT_THROW(static_cast<void>(Array<long>(kTooMany)), std::invalid_argument);
  EXPECT_THROW(Array<long>(std::size_t{1} << 42), OSError);
}

}  // namespace
}  // namespace weft::test
