#include <weft/fiber/this_fiber.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>

#include "support/eventually.hpp"
#include "support/leaks.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

class Sleep : public LeakFree {};

Duration median_overshoot(Duration sleep, int samples) {
  std::vector<Duration> overshoots;
  for (int i = 0; i < samples; ++i) {
    const Stopwatch watch;
    sleep_for(sleep);
    const Duration overshoot = watch.elapsed() - sleep;
    EXPECT_GE(overshoot, 0ns);
    overshoots.push_back(overshoot);
  }
  std::nth_element(overshoots.begin(), overshoots.begin() + samples / 2, overshoots.end());
  return overshoots[static_cast<std::size_t>(samples / 2)];
}

TEST_F(Sleep, LastsAtLeastItsTimeAndHardlyLonger) {
  for (const unsigned workers : {0u, 1u, 2u}) {
    Duration best = Duration::max();
    // The best of a few medians: a busy machine may take any one of them away.
    for (int attempt = 0; attempt < 8 && best >= 1ms; ++attempt) {
      if (workers == 0) {
        best = std::min(best, median_overshoot(1ms, 50));
      } else {
        Runtime runtime{{.workers = workers, .name = "test"}};
        best = std::min(best, runtime.run([] { return median_overshoot(1ms, 50); }));
      }
    }
    EXPECT_LT(best, 1ms) << workers << " workers";
  }
}

TEST_F(Sleep, OfNoTimeOrIntoThePastReturnsAtOnce) {
  for (const unsigned workers : {1u, 2u}) {
    Runtime runtime{{.workers = workers, .name = "test"}};
    runtime.run([] {
      const Stopwatch watch;
      sleep_for(0s);
      sleep_for(-1h);
      sleep_until(Clock::now() - 1h);
      sleep_until(Clock::time_point{});
      sleep_until(Deadline::already());
      EXPECT_LT(watch.elapsed(), 10s);
    });
  }
  sleep_for(-1h);
}

TEST_F(Sleep, UntilAPointOfTheWallClock) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    const auto point = std::chrono::system_clock::now() + 10ms;
    sleep_until(point);
    EXPECT_GE(std::chrono::system_clock::now() + 1ms, point);
  });
}

TEST_F(Sleep, ThousandsOfSleepersWakeInTime) {
  Runtime runtime{{.workers = 2, .name = "test"}};
  const int count = under_thread_sanitizer() ? 500 : 5000;
  std::atomic<int> early{0};
  runtime.run([&] {
    std::vector<Fiber<void>> fibers;
    for (int i = 0; i < count; ++i) {
      fibers.push_back(spawn([&, i] {
        const Deadline deadline = Deadline::after(std::chrono::microseconds{i % 997 * 20});
        sleep_until(deadline);
        if (!deadline.has_passed()) ++early;
      }));
    }
    join_all(fibers);
  });
  EXPECT_EQ(early, 0);
}

TEST_F(Sleep, OtherFibersRunMeanwhile) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    int turns = 0;
    auto other = spawn([&] {
      for (;;) {
        ++turns;
        yield();
      }
    });
    EXPECT_TRUE(eventually([&] {
      sleep_for(1ms);
      return turns > 10;
    }));
    other.kill();
    other.join();
  });
}

TEST_F(Sleep, BusyFibersDoNotHoldUpASleeper) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    bool stop = false;
    std::vector<Fiber<void>> busy;
    for (int i = 0; i < 10; ++i) {
      busy.push_back(spawn([&] {
        while (!stop) yield();
      }));
    }
    for (int i = 0; i < 20; ++i) sleep_for(200us);
    stop = true;
    join_all(busy);
  });
}

}  // namespace
}  // namespace weft::test
