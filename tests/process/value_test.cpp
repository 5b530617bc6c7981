#include <weft/process/value.hpp>

#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/process/sendable.hpp>

#include "support/eventually.hpp"
#include "support/in_child.hpp"

namespace weft::test {
namespace {

using process::ctype;
using process::Incoming;
using process::no_lock;
using process::Outgoing;
using process::RLock;
using process::Value;

struct Point {
  double x = 0;
  std::int32_t y = 0;  // and padding
  std::array<short, 3> more{};
};

template <class T>
T sent(const T& value) {
  Outgoing out;
  out(value);
  Incoming in{out.bytes(), out.take_descriptors()};
  return in.receive<T>();
}

/// So many children, all at once; whether all ended well.
bool in_children(int count, const std::function<int()>& body) {
  std::vector<pid_t> pids;
  for (int i = 0; i < count; ++i) pids.push_back(start_child(body));
  bool well = true;
  for (const pid_t pid : pids) well = end_of_child(pid) == 0 && well;
  return well;
}

TEST(Value, HoldsWhatItWasMadeOf) {
  EXPECT_EQ(Value<long>{}.get(), 0);
  Value<double> value{2.5};
  EXPECT_EQ(value.get(), 2.5);
  value = 3.5;
  EXPECT_EQ(value, 3.5);
  value.set(-1);
  EXPECT_EQ(value + 2, 1.0);
  value += 3;
  value *= 4;
  value -= 1;
  EXPECT_EQ(value.get(), 7.0);
}

TEST(Value, IsSharedByForkAndChangesAreSeen) {
  Value<std::int64_t> value{1};
  EXPECT_EQ(in_child([&] {
              if (value != 1) return 1;
              value = 42;
              return 0;
            }),
            0);
  EXPECT_EQ(value, 42);
}

TEST(Value, CopiesAreTheSameValue) {
  Value<int> value{1};
  Value<int> copy = value;
  copy = 2;
  EXPECT_EQ(value, 2);
  Value<int> other{5};
  other = value;  // a handle: refers to the same from now on
  other = 6;
  EXPECT_EQ(value, 6);
}

TEST(Value, IsSentWithItsLock) {
  Value<int> value{1};
  Value<int> there = sent(value);
  there = 2;
  EXPECT_EQ(value, 2);
  const std::scoped_lock guard{value};
  EXPECT_EQ(in_child([&] { return there.try_lock() ? 1 : 0; }), 0);
  EXPECT_FALSE(sent(Value<int>{1, no_lock}).has_lock());
}

TEST(Value, OfAnotherTypeIsRefusedByItsReceiver) {
  Outgoing out;
  out(Value<int>{1});
  const auto receive = [&]<class T>(T*) {
    Incoming in{out.bytes(), out.take_descriptors()};
    (void)in.receive<Value<T>>();
  };
  EXPECT_THROW(receive(static_cast<long*>(nullptr)), ProtocolError);
}

TEST(Value, CanBeAStructure) {
  Value<Point> value{{1.5, 2, {3, 4, 5}}};
  Point point = value;
  EXPECT_EQ(point.x, 1.5);
  EXPECT_EQ(point.more[2], 5);
  {
    const std::scoped_lock guard{value};
    value.object_in_place().y += 10;
  }
  EXPECT_EQ(value.get().y, 12);
  value.update([](Point old) {
    old.x *= 2;
    return old;
  });
  EXPECT_EQ(value.get().x, 3.0);
}

TEST(Value, WithItsLockHeldLosesNoUpdate) {
  constexpr int kChildren = 4, kTimes = 2'000;
  Value<long> value{0};
  EXPECT_TRUE(in_children(kChildren, [&] {
    for (int i = 0; i < kTimes; ++i) {
      const std::scoped_lock guard{value};
      value += 1;
    }
    return 0;
  }));
  EXPECT_EQ(value, kChildren * kTimes);
}

TEST(Value, UpdateLosesNothingWithOrWithoutALock) {
  constexpr int kChildren = 4, kTimes = 2'000;
  Value<long> locked{0};
  Value<double> bare{0, no_lock};
  EXPECT_TRUE(in_children(kChildren, [&] {
    for (int i = 0; i < kTimes; ++i) {
      locked.update([](long old) { return old + 1; });
      bare.update([](double old) { return old + 1; });
    }
    return 0;
  }));
  EXPECT_EQ(locked, kChildren * kTimes);
  EXPECT_EQ(bare, kChildren * kTimes);
}

// One reads, then waits until the other has written: what that one wrote is lost, for certain.
TEST(Value, AnUpdateInTwoStepsWithoutTheLockIsLost) {
  Value<int> value{0};
  Value<int> step{0};
  const pid_t pid = start_child([&] {
    const int seen = value;
    step = 1;
    if (!eventually([&] { return step == 2; })) return 1;
    value = seen + 1;
    return 0;
  });
  EXPECT_TRUE(eventually([&] { return step == 1; }));
  value += 1;
  step = 2;
  EXPECT_EQ(end_of_child(pid), 0);
  EXPECT_EQ(value, 1);
}

TEST(Value, AReaderWaitsForWhoHoldsTheLock) {
  Value<int> value{0};
  Value<int> ready{0, no_lock};
  const pid_t pid = start_child([&] {
    const std::scoped_lock guard{value};
    value = 1;
    ready = 1;
    sleep_for(20ms);
    value = 2;
    return 0;
  });
  EXPECT_TRUE(eventually([&] { return ready == 1; }));
  EXPECT_EQ(value, 2);  // never 1
  EXPECT_EQ(end_of_child(pid), 0);
}

TEST(Value, UpdateThatThrowsChangesNothing) {
  Value<int> value{5};
  const auto fail = [](int) -> int { throw std::runtime_error{"no"}; };
  EXPECT_THROW(value.update(fail), std::runtime_error);
  EXPECT_EQ(value, 5);
  EXPECT_FALSE(value.get_lock().locked());
}

TEST(Value, WithoutALockHasNoneToTake) {
  Value<int> value{0, no_lock};
  EXPECT_FALSE(value.has_lock());
  EXPECT_THROW(value.lock(), InvalidStateError);
  EXPECT_THROW((void)value.get_lock(), InvalidStateError);
  value = 1;
  EXPECT_EQ(value, 1);
  Value<Point> large{{}, no_lock};
  EXPECT_THROW(large.update([](Point old) { return old; }), InvalidStateError);
}

TEST(Value, SeveralShareALock) {
  RLock lock;
  Value<int> left{10, lock};
  Value<int> right{0, lock};
  const std::scoped_lock guard{left};
  right = 1;  // taken again by its holder
  EXPECT_EQ(in_child([&] { return right.try_lock() ? 1 : 0; }), 0);
}

TEST(Value, AHolderThatWasKilledIsNoHang) {
  Value<int> value{1};
  EXPECT_EQ(in_child([&] {
              value.lock();
              value = 2;
              return ::raise(SIGKILL);
            }),
            -SIGKILL);
  ASSERT_TRUE(value.try_lock_for(kPatience));
  EXPECT_TRUE(value.get_lock().owner_died());
  EXPECT_EQ(value, 2);
  value.get_lock().recovered();
  EXPECT_FALSE(value.get_lock().owner_died());
  value.unlock();
}

TEST(Value, IsUsedByFibers) {
  Value<long> value{0};
  std::vector<Fiber<void>> fibers;
  for (int i = 0; i < 50; ++i)
    fibers.push_back(spawn([&] {
      for (int k = 0; k < 20; ++k) value.update([](long old) { return old + 1; });
    }));
  for (auto& fiber : fibers) fiber.join();
  EXPECT_EQ(value, 1000);
}

TEST(Value, HasPythonsTypes) {
  static_assert(std::is_same_v<ctype<'c'>, char> && std::is_same_v<ctype<'u'>, wchar_t> && std::is_same_v<ctype<'b'>, signed char> &&
                std::is_same_v<ctype<'B'>, unsigned char> && std::is_same_v<ctype<'h'>, short> &&
                std::is_same_v<ctype<'H'>, unsigned short> && std::is_same_v<ctype<'i'>, int> &&
                std::is_same_v<ctype<'I'>, unsigned int> && std::is_same_v<ctype<'l'>, long> &&
                std::is_same_v<ctype<'L'>, unsigned long> && std::is_same_v<ctype<'q'>, long long> &&
                std::is_same_v<ctype<'Q'>, unsigned long long> && std::is_same_v<ctype<'f'>, float> &&
                std::is_same_v<ctype<'d'>, double>);
  Value<ctype<'i'>> number{7};
  EXPECT_EQ(number, 7);
  Value<ctype<'u'>> letter{L'\u00e9'};
  EXPECT_EQ(letter, L'\u00e9');
}

}  // namespace
}  // namespace weft::test
