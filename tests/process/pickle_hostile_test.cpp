#include <gtest/gtest.h>
#include <time.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <weft/process/pickle.hpp>

// Pickles that were made to cost their reader far more than their size: what they cost is proportional to it, or they are refused.
namespace weft::test {
namespace {

using namespace std::chrono_literals;
using process::PickleError;
using process::PickleLimits;
using process::PyBytes;
using process::PySet;
using process::PyValue;

/// CPU time of this thread, so that a busy machine does not count. Each of these took minutes where the size was not what counted.
std::chrono::nanoseconds time_of(const std::function<void()>& call) {
  const auto now = [] {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec};
  };
  const auto before = now();
  call();
  return now() - before;
}

std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

TEST(HostilePickle, PlacesInTheMemoThatAHashTableWouldKeepTogether) {
  constexpr std::uint64_t kPlaces = 60'000, kLookUps = 150'000;
  std::unordered_map<std::uint64_t, int> table;
  for (std::uint64_t i = 0; i < kPlaces; ++i) table[i] = 0;
  const std::uint64_t apart = table.bucket_count();
  std::string pickle = "\x80\x04N";
  for (std::uint64_t i = 0; i < kPlaces; ++i) pickle += 'r' + little_endian(i * apart, 4);
  for (std::uint64_t i = 0; i < kLookUps; ++i) pickle += 'j' + little_endian(i % kPlaces * apart, 4) + '0';
  pickle += '.';
  EXPECT_LT(time_of([&] { EXPECT_TRUE(process::pickle::loads(pickle).is_none()); }), 5s);
}

/// Two blocks of 8 bytes, one of two ways each: std::hash of libstdc++ (MurmurHash64A) does not tell them apart, since a difference in
/// the highest bit of what it makes of the first is undone by one in the second.
class Alike {
 public:
  static std::string of(std::uint64_t choices, int pairs) {
    std::string text;
    for (int i = 0; i < pairs; ++i) {
      const bool other = (choices >> i & 1) != 0;
      text += block(0x0123456789abcdef, other) + block(0x1122334455667788, other);
    }
    return text;
  }

 private:
  static constexpr std::uint64_t kFactor = 0xc6a4a7935bd1e995;

  static std::string block(std::uint64_t mixed, bool other) {
    if (other) mixed ^= std::uint64_t{1} << 63;
    // What its multiplications and shift make this of.
    mixed *= inverse(kFactor);
    mixed ^= mixed >> 47;
    return little_endian(mixed * inverse(kFactor), 8);
  }
  static std::uint64_t inverse(std::uint64_t odd) {
    std::uint64_t found = odd;
    for (int i = 0; i < 6; ++i) found *= 2 - odd * found;
    return found;
  }
};

TEST(HostilePickle, MembersThatAHashTableWouldKeepTogether) {
  constexpr int kPairs = 16;
  PySet set;
  // The 7 make the blocks begin where a key of bytes has its second word.
  for (std::uint64_t i = 0; i < 1 << kPairs; ++i) set.items.push_back(PyBytes{"0123456" + Alike::of(i, kPairs)});
  const std::string pickle = process::pickle::dumps(std::move(set));
  EXPECT_LT(time_of([&] { EXPECT_EQ(process::pickle::loads(pickle).as<PySet>().items.size(), 1u << kPairs); }), 5s);
}

/// ... frozenset({frozenset({text, 0}), 1}) ..., so deep.
std::string nested(std::size_t text_bytes, int depth) {
  std::string pickle = "\x80\x04";
  pickle.append(static_cast<std::size_t>(depth), '(');
  pickle += 'X' + little_endian(text_bytes, 4) + std::string(text_bytes, 'x');
  for (int i = 0; i < depth; ++i) pickle += 'K' + little_endian(static_cast<std::uint64_t>(i), 1) + '\x91';
  return pickle + '.';
}

TEST(HostilePickle, FrozenSetsOfFrozenSetsAroundALongText) {
  const std::string pickle = nested(5'000'000, 199);
  EXPECT_LT(time_of([&] { EXPECT_THROW((void)process::pickle::loads(pickle), PickleError); }), 10s);
  // Moderate ones are read.
  PyValue value = process::pickle::loads(nested(1000, 50));
  for (int i = 50; i-- > 0;) {
    ASSERT_EQ(value.as<PySet>().items.size(), 2u);
    value = PyValue{value.as<PySet>().items[0]};
  }
  EXPECT_EQ(value, PyValue{std::string(1000, 'x')});
}

}  // namespace
}  // namespace weft::test
