#include <weft/sync/event.hpp>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>

#include "support/world.hpp"

// After EventTests of CPython's Lib/test/lock_tests.py, and what weft promises beyond them.
namespace weft::test {
namespace {

using detail::WaitKind;

class EventConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(EventConformance);

TEST_P(EventConformance, IsUnsetAtFirstAndKeepsWhatItIsTold) {
  in_world([](World&) {
    Event event{"ready"};
    EXPECT_STREQ(event.name(), "ready");
    EXPECT_FALSE(event.is_set());
    event.set();
    EXPECT_TRUE(event.is_set());
    event.set();
    EXPECT_TRUE(event.is_set());
    event.clear();
    EXPECT_FALSE(event.is_set());
    event.clear();
    EXPECT_FALSE(event.is_set());
  });
}

TEST_P(EventConformance, SetLetsEverybodyThrough) {
  in_world([](World& world) {
    Event event;
    std::atomic<int> through{0};
    for (int round = 0; round < 2; ++round) {
      through = 0;
      auto waiters = world.spawn_many(5, [&](int) {
        event.wait();
        ++through;
        event.wait();
        ++through;
      });
      ASSERT_TRUE(soon_all_wait_in(waiters, WaitKind::Event));
      EXPECT_EQ(through, 0);
      event.set();
      join_all(waiters);
      EXPECT_EQ(through, 10);
      event.clear();
    }
  });
}

TEST_P(EventConformance, TimedWaitTellsWhetherItWasSet) {
  in_world([](World& world) {
    Event event;
    auto waiters = world.spawn_many(5, [&](int) {
      EXPECT_FALSE(event.wait_for(0s));
      EXPECT_FALSE(event.wait_for(-5s));
      const Stopwatch watch;
      EXPECT_FALSE(event.wait_for(50ms));
      EXPECT_GE(watch.elapsed(), 50ms);
      const auto point = Clock::now() + 20ms;
      EXPECT_FALSE(event.wait_until(point));
      EXPECT_GE(Clock::now(), point);
      const auto wall_clock_point = std::chrono::system_clock::now() + 10ms;
      EXPECT_FALSE(event.wait_until(wall_clock_point));
    });
    join_all(waiters);
    event.set();
    waiters = world.spawn_many(5, [&](int) {
      EXPECT_TRUE(event.wait_for(0s));
      EXPECT_TRUE(event.wait_for(1h));
      EXPECT_TRUE(event.wait_until(Deadline::already()));
    });
    join_all(waiters);
  });
}

// CPython issue 13502.
TEST_P(EventConformance, WhoeverWaitsAtSetIsLetThroughThoughItIsClearedAtOnce) {
  in_world([](World& world) {
    Event event;
    auto waiters = world.spawn_many(5, [&](int) { EXPECT_TRUE(event.wait_for(kPatience)); });
    ASSERT_TRUE(soon_all_wait_in(waiters, WaitKind::Event));
    event.set();
    event.clear();
    join_all(waiters);
    EXPECT_FALSE(event.is_set());
  });
}

TEST_P(EventConformance, MakesVisibleWhatPrecededSet) {
  in_world([](World& world) {
    for (int i = 0; i < 200; ++i) {
      Event event;
      int value = 0;  // not atomic: ThreadSanitizer checks the order
      Runner reader = world.spawn([&] {
        event.wait();
        EXPECT_EQ(value, i);
      });
      if (i % 2) yield();
      value = i;
      event.set();
      reader.join();
    }
  });
}

TEST_P(EventConformance, PassesTheBallBackAndForth) {
  in_world([](World& world) {
    Event ping;
    Event pong;
    int hits = 0;
    Runner partner = world.spawn([&] {
      for (int i = 0; i < 500; ++i) {
        ping.wait();
        ping.clear();
        ++hits;
        pong.set();
      }
    });
    for (int i = 0; i < 500; ++i) {
      ++hits;
      ping.set();
      pong.wait();
      pong.clear();
    }
    partner.join();
    EXPECT_EQ(hits, 1000);
  });
}

TEST_P(EventConformance, WaitIsACancellationPoint) {
  in_world([](World& world) {
    Event event;
    std::atomic<int> returned{0};
    auto waiters = world.spawn_many(3, [&](int number) {
      if (number == 0) event.wait();
      (void)event.wait_for(1h);
      ++returned;
    });
    ASSERT_TRUE(soon_all_wait_in(waiters, WaitKind::Event));
    waiters[0].kill();
    waiters[2].kill();
    EXPECT_EQ(waiters[0].join(), Ending::Cancelled);
    EXPECT_EQ(waiters[2].join(), Ending::Cancelled);
    EXPECT_FALSE(waiters[1].done());
    event.set();
    EXPECT_EQ(waiters[1].join(), Ending::Returned);
    EXPECT_EQ(returned, 1);
  });
}

}  // namespace
}  // namespace weft::test
