#include <weft/thread/timer.hpp>

#include <memory>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/thread/current_thread.hpp>

#include "support/world.hpp"

// After TimerTests of CPython's Lib/test/test_threading.py.
namespace weft::test {
namespace {

class TimerConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(TimerConformance);

TEST_P(TimerConformance, CallsTheFunctionAfterTheDelay) {
  in_world([](World&) {
    const Stopwatch watch;
    int sum = 0;
    Timer timer{20ms, [&](int a, std::unique_ptr<int> b) { sum = a + *b; }, 1, std::make_unique<int>(2)};
    EXPECT_FALSE(timer.is_alive());
    timer.start();
    timer.join();
    EXPECT_GE(watch.elapsed(), 20ms);
    EXPECT_EQ(sum, 3);
    timer.cancel();  // too late, and no error
  });
}

TEST_P(TimerConformance, CancelledItEndsAtOnceAndCallsNothing) {
  in_world([](World&) {
    bool called = false;
    Timer timer{1h, [&] { called = true; }};
    timer.start();
    EXPECT_TRUE(timer.is_alive());
    timer.cancel();
    EXPECT_TRUE(timer.join_for(kPatience));
    EXPECT_FALSE(called);
    Timer early{1h, [&] { called = true; }};
    early.cancel();
    early.start();
    EXPECT_TRUE(early.join_for(kPatience));
    EXPECT_FALSE(called);
  });
}

class TimerTest : public LeakFree {};

TEST_F(TimerTest, IsAThreadLikeOthers) {
  Event called;
  std::string name;
  Timer timer{1ms, [&] {
                name = current_thread().name();
                called.set();
              }};
  timer.set_name("egg").set_daemon(true).start();
  EXPECT_THROW(timer.start(), InvalidStateError);
  timer.join();
  EXPECT_EQ(name, "egg");
  EXPECT_TRUE(called.is_set());
}

TEST_F(TimerTest, RunsOnWithoutAHandle) {
  Event called;
  { Timer{1ms, [&] { called.set(); }}.start(); }
  EXPECT_TRUE(called.wait_for(kPatience));
}

TEST_F(TimerTest, ForEverIsForEver) {
  Timer timer{std::chrono::hours::max(), [] { ADD_FAILURE() << "called"; }};
  timer.start();
  EXPECT_FALSE(timer.join_for(5ms));
  timer.kill();
  timer.join();
  Timer past{-1h, [] {}};
  past.start();
  EXPECT_TRUE(past.join_for(kPatience));
}

TEST_F(TimerTest, ReleasesTheFunctionWhetherOrNotItWasCalled) {
  for (const bool cancel : {true, false}) {
    auto given = std::make_shared<int>(1);
    const std::weak_ptr<int> seen = given;
    Timer timer{cancel ? Duration{1h} : Duration{1ms}, [given = std::move(given)] {}};
    timer.start();
    if (cancel) timer.cancel();
    timer.join();
    EXPECT_TRUE(seen.expired());
  }
}

}  // namespace
}  // namespace weft::test
