#include <weft/base/deadline.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <vector>

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kSmallest = std::numeric_limits<std::int64_t>::min();

TEST(Deadline, NeverIsTheDefaultAndDoesNotPass) {
  constexpr Deadline deadline;
  static_assert(deadline == Deadline::never());
  static_assert(deadline.is_never());
  static_assert(!Deadline::already().is_never());
  EXPECT_FALSE(deadline.has_passed());
  EXPECT_EQ(deadline.remaining(), Duration::max());
}

TEST(Deadline, AlreadyHasPassed) {
  EXPECT_TRUE(Deadline::already().has_passed());
  EXPECT_EQ(Deadline::already().remaining(), 0ns);
}

TEST(Deadline, AfterADurationLiesThatFarAhead) {
  const std::int64_t before = Deadline::now_nanoseconds();
  const Deadline deadline = Deadline::after(1h);
  const std::int64_t after = Deadline::now_nanoseconds();
  EXPECT_GE(deadline.nanoseconds(), before + Duration{1h}.count());
  EXPECT_LE(deadline.nanoseconds(), after + Duration{1h}.count());
  EXPECT_FALSE(deadline.has_passed());
  EXPECT_GT(deadline.remaining(), 0ns);
  EXPECT_LE(deadline.remaining(), 1h);
}

TEST(Deadline, PassesWhenItsTimeComes) {
  const Deadline deadline = Deadline::after(1us);
  while (Deadline::now_nanoseconds() < deadline.nanoseconds()) {
  }
  EXPECT_TRUE(deadline.has_passed());
  EXPECT_EQ(deadline.remaining(), 0ns);
}

TEST(Deadline, DurationsOfZeroOrLessHavePassed) {
  EXPECT_EQ(Deadline::after(0s), Deadline::already());
  EXPECT_EQ(Deadline::after(-1ns), Deadline::already());
  EXPECT_EQ(Deadline::after(-0.5s), Deadline::already());
  EXPECT_EQ(Deadline::after(Duration::min()), Deadline::already());
  EXPECT_EQ(Deadline::after(std::chrono::hours::min()), Deadline::already());
  EXPECT_EQ(Deadline::after(std::chrono::duration<double>{-std::numeric_limits<double>::infinity()}),
            Deadline::already());
}

TEST(Deadline, DurationsTooLongToCountSaturateToNever) {
  EXPECT_TRUE(Deadline::after(Duration::max()).is_never());
  EXPECT_TRUE(Deadline::after(std::chrono::hours::max()).is_never());
  EXPECT_TRUE(Deadline::after(std::chrono::seconds{kLargest / 1'000'000'000}).is_never());
  EXPECT_TRUE(Deadline::after(std::chrono::duration<double>{1e300}).is_never());
  EXPECT_TRUE(Deadline::after(std::chrono::duration<double>{std::numeric_limits<double>::infinity()}).is_never());
  // Long, but not too long.
  EXPECT_FALSE(Deadline::after(std::chrono::years{100}).is_never());
  EXPECT_GT(Deadline::after(std::chrono::years{100}).remaining(), std::chrono::years{99});
}

TEST(Deadline, PartsOfANanosecondRoundUp) {
  // Rounded down, the shortest of timeouts would have passed before it began.
  EXPECT_NE(Deadline::after(std::chrono::duration<std::int64_t, std::pico>{1}), Deadline::already());
  EXPECT_NE(Deadline::after(std::chrono::duration<double, std::nano>{0.25}), Deadline::already());
}

TEST(Deadline, AtAPointOfItsClockIsThatPoint) {
  const Clock::time_point point = Clock::now() + 3h;
  EXPECT_EQ(Deadline::at(point).nanoseconds(), Duration{point.time_since_epoch()}.count());
  EXPECT_TRUE(Deadline::at(Clock::time_point::max()).is_never());
  EXPECT_TRUE(Deadline::at(Clock::time_point::min()).has_passed());
  EXPECT_TRUE(Deadline::at(Clock::now() - 1ns).has_passed());
  using Hours = std::chrono::time_point<Clock, std::chrono::hours>;
  EXPECT_TRUE(Deadline::at(Hours::max()).is_never());
  EXPECT_TRUE(Deadline::at(Hours::min()).has_passed());
}

TEST(Deadline, AtAPointOfAnotherClockIsAsFarAhead) {
  const Deadline deadline = Deadline::at(std::chrono::system_clock::now() + 2h);
  EXPECT_LE(deadline.remaining(), 2h);
  EXPECT_GT(deadline.remaining(), 1h);
  EXPECT_TRUE(Deadline::at(std::chrono::system_clock::now() - 1h).has_passed());
  EXPECT_TRUE(Deadline::at(std::chrono::sys_days{}).has_passed());
}

TEST(Deadline, FarPointsOfAnotherClockSaturate) {
  using std::chrono::system_clock;
  EXPECT_TRUE(Deadline::at(system_clock::time_point::min()).has_passed());
  EXPECT_FALSE(Deadline::at(system_clock::time_point::max()).has_passed());
  EXPECT_TRUE(Deadline::at(std::chrono::sys_seconds::max()).is_never());
  EXPECT_TRUE(Deadline::at(std::chrono::sys_seconds::min()).has_passed());
  // In nanoseconds from 1970, 64 bits end in 2262.
  EXPECT_TRUE(Deadline::at(std::chrono::sys_days{std::chrono::year{3000} / 1 / 1}).is_never());
  EXPECT_TRUE(Deadline::at(std::chrono::sys_days{std::chrono::year{1000} / 1 / 1}).has_passed());
}

TEST(Deadline, KeepsTheNanosecondsItWasMadeFrom) {
  for (const std::int64_t ns : {std::int64_t{0}, std::int64_t{1}, kLargest - 1}) {
    EXPECT_EQ(Deadline::from_nanoseconds(ns).nanoseconds(), ns);
    EXPECT_FALSE(Deadline::from_nanoseconds(ns).is_never());
  }
  for (const std::int64_t ns : {std::int64_t{0}, std::int64_t{-1}, kSmallest}) {
    EXPECT_EQ(Deadline::from_nanoseconds(ns), Deadline::already());
  }
  EXPECT_EQ(Deadline::from_nanoseconds(kLargest), Deadline::never());
  EXPECT_EQ(Deadline::never().nanoseconds(), kLargest);
}

TEST(Deadline, NothingRemainsOfOneThatHasPassed) {
  const std::int64_t now = Deadline::now_nanoseconds();
  for (const std::int64_t ns : {now, now - 1, std::int64_t{1}, std::int64_t{0}, std::int64_t{-1}, kSmallest}) {
    EXPECT_TRUE(Deadline::from_nanoseconds(ns).has_passed()) << ns;
    EXPECT_EQ(Deadline::from_nanoseconds(ns).remaining(), 0ns) << ns;
  }
}

TEST(Deadline, AreOrderedByTimeAndNeverIsLast) {
  const std::vector<Deadline> ordered{Deadline::already(), Deadline::from_nanoseconds(1), Deadline::after(1s),
                                      Deadline::after(1h), Deadline::from_nanoseconds(kLargest - 1), Deadline::never()};
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    for (std::size_t k = 0; k < ordered.size(); ++k) {
      EXPECT_EQ(ordered[i] <=> ordered[k], i <=> k);
      EXPECT_EQ(ordered[i] == ordered[k], i == k);
      EXPECT_EQ(Deadline::earlier(ordered[i], ordered[k]), ordered[std::min(i, k)]);
    }
  }
}

}  // namespace
}  // namespace weft
