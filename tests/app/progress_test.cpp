#include "client/progress.hpp"

#include <gtest/gtest.h>

namespace weft::app {
namespace {

using namespace std::chrono_literals;

TEST(Progress, LineSaysHowFarHowFastHowLong) {
  EXPECT_EQ(progress_line(1 << 30, 4ull << 30, 1 << 28, 0, 1, 60),
            " 25%  1.0 GiB of 4.0 GiB  256.0 MiB/s  0:12 left");
  EXPECT_EQ(progress_line(1 << 30, 4ull << 30, 1 << 28, 0, 1, 70),
            "[####              ]   25%  1.0 GiB of 4.0 GiB  256.0 MiB/s  0:12 left");
}

TEST(Progress, LineNeverExceedsTheTerminal) {
  for (unsigned columns = 1; columns < 200; ++columns) {
    EXPECT_LE(progress_line(1 << 30, 4ull << 30, 1 << 28, 3, 1000, columns).size(), columns);
  }
}

TEST(Progress, NothingKnownIsNoDivisionByZero) {
  EXPECT_EQ(progress_line(0, 0, 0, 0, 0, 40), "  0%  0 B of 0 B  0 B/s  -:-- left");
}

TEST(RateMeter, FollowsWhatHappensNow) {
  RateMeter meter;
  Clock::time_point now{};
  EXPECT_EQ(meter.update(0, now), 0);
  EXPECT_DOUBLE_EQ(meter.update(1000, now + 1s), 1000);
  double rate = 0;
  for (int i = 2; i < 30; ++i)
    rate = meter.update(1000 + 5000u * static_cast<unsigned>(i - 1), now + std::chrono::seconds(i));
  EXPECT_NEAR(rate, 5000, 50);
}

}  // namespace
}  // namespace weft::app
