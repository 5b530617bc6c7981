#include <weft/sync/condition.hpp>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>

#include "support/world.hpp"

// After ConditionTests of CPython's Lib/test/lock_tests.py, and what weft promises beyond them.
namespace weft::test {
namespace {

using detail::WaitKind;

class ConditionConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(ConditionConformance);

TEST_P(ConditionConformance, RefusesAWaiterWithoutTheLock) {
  in_world([](World& world) {
    Lock lock;
    Condition condition;
    std::unique_lock guard{lock, std::defer_lock};
    EXPECT_THROW(condition.wait(guard), InvalidStateError);
    EXPECT_THROW((void)condition.wait_for(guard, 1ms), InvalidStateError);
    guard.lock();
    // A guard that says so is not enough: the caller himself must hold the lock.
    world.spawn([&] { EXPECT_THROW((void)condition.wait_for(guard, 1ms), InvalidStateError); }).join();
    EXPECT_EQ(lock.owner(), detail::current_context_id());
  });
}

TEST_P(ConditionConformance, NotifyingNobodyDoesNothingAndIsNotRemembered) {
  in_world([](World&) {
    Lock lock;
    Condition condition;
    condition.notify_one();
    condition.notify_all();
    condition.notify(3);
    std::unique_lock guard{lock};
    EXPECT_FALSE(condition.wait_for(guard, 5ms));
  });
}

TEST_P(ConditionConformance, NotifyWakesSoManyAndNoMore) {
  in_world([](World& world) {
    Lock lock;
    Condition condition;
    int phase = 0;             // guarded by lock
    std::vector<int> woke_in;  // guarded by lock
    auto runners = world.spawn_many(5, [&](int) {
      std::unique_lock guard{lock};
      condition.wait(guard);
      woke_in.push_back(phase);
    });
    ASSERT_TRUE(soon_all_wait_in(runners, WaitKind::Condition));
    const auto woken = [&] {
      const std::lock_guard guard{lock};
      return woke_in.size();
    };
    const auto next_phase = [&](std::size_t count) {
      const std::lock_guard guard{lock};
      ++phase;
      condition.notify(count);
    };
    next_phase(2);
    ASSERT_TRUE(eventually([&] { return woken() == 2; }));
    sleep_for(2ms);
    EXPECT_EQ(woken(), 2u);
    next_phase(1);
    ASSERT_TRUE(eventually([&] { return woken() == 3; }));
    next_phase(0);
    sleep_for(2ms);
    EXPECT_EQ(woken(), 3u);
    next_phase(SIZE_MAX);
    join_all(runners);
    EXPECT_EQ(woke_in, (std::vector{1, 1, 2, 4, 4}));
    condition.notify_all();  // nobody is left
  });
}

TEST_P(ConditionConformance, NotifyOneWakesTheOldestWaiter) {
  in_world([](World& world) {
    Lock lock;
    Condition condition;
    std::vector<int> order;
    std::vector<Runner> runners;
    for (int i = 0; i < 5; ++i) {
      runners.push_back(world.spawn([&, i] {
        std::unique_lock guard{lock};
        condition.wait(guard);
        order.push_back(i);
      }));
      ASSERT_TRUE(runners.back().soon_waits_in(WaitKind::Condition));
    }
    for (Runner& runner : runners) {
      condition.notify_one();  // also without the lock
      runner.join();
    }
    EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
  });
}

TEST_P(ConditionConformance, WaitReleasesTheLockAndHoldsItAgain) {
  in_world([](World& world) {
    Lock lock;
    Condition condition;
    Runner waiter = world.spawn([&] {
      std::unique_lock guard{lock};
      condition.wait(guard);
      EXPECT_TRUE(guard.owns_lock());
      EXPECT_EQ(lock.owner(), detail::current_context_id());
    });
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Condition));
    lock.lock();
    condition.notify_one();
    sleep_for(2ms);
    EXPECT_FALSE(waiter.done());  // notified, but the lock is ours
    lock.unlock();
    waiter.join();
    EXPECT_FALSE(lock.locked());
  });
}

TEST_P(ConditionConformance, TimedWaitTellsWhetherItWasNotified) {
  in_world([](World& world) {
    Lock lock;
    Condition condition;
    auto runners = world.spawn_many(5, [&](int) {
      std::unique_lock guard{lock};
      const Stopwatch watch;
      EXPECT_FALSE(condition.wait_for(guard, 50ms));
      EXPECT_GE(watch.elapsed(), 50ms);
      EXPECT_EQ(lock.owner(), detail::current_context_id());
      const auto point = Clock::now() + 10ms;
      EXPECT_FALSE(condition.wait_until(guard, point));
      EXPECT_GE(Clock::now(), point);
      EXPECT_FALSE(condition.wait_for(guard, 0s));
      EXPECT_FALSE(condition.wait_for(guard, -1h));
    });
    join_all(runners);
    Runner notified = world.spawn([&] {
      std::unique_lock guard{lock};
      EXPECT_TRUE(condition.wait_for(guard, kPatience));
    });
    ASSERT_TRUE(notified.soon_waits_in(WaitKind::Condition));
    condition.notify_one();
    notified.join();
  });
}

TEST_P(ConditionConformance, PredicateIsAwaitedThroughOtherNotifications) {
  in_world([](World& world) {
    Lock lock;
    Condition condition;
    int state = 0;
    Runner waiter = world.spawn([&] {
      std::unique_lock guard{lock};
      condition.wait(guard, [&] { return state == 0; });
      EXPECT_EQ(state, 0);
      state = 1;
      condition.wait(guard, [&] { return state == 4; });
      EXPECT_EQ(state, 4);
    });
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Condition));
    for (int i = 0; i < 3; ++i) {
      sleep_for(1ms);
      const std::lock_guard guard{lock};
      ++state;
      condition.notify_one();
    }
    waiter.join();
    EXPECT_EQ(state, 4);
  });
}

TEST_P(ConditionConformance, TimedPredicateGivesItsLastValue) {
  in_world([](World& world) {
    Lock lock;
    Condition condition;
    int state = 0;
    {
      std::unique_lock guard{lock};
      const Stopwatch watch;
      EXPECT_FALSE(condition.wait_for(guard, 30ms, [&] { return state == 9; }));
      EXPECT_GE(watch.elapsed(), 30ms);
      EXPECT_TRUE(condition.wait_for(guard, 0ms, [&] { return state == 0; }));
      EXPECT_FALSE(condition.wait_until(guard, Deadline::already(), [&] { return state == 9; }));
      // Not notified, yet true when the time is up.
      int asked = 0;
      EXPECT_TRUE(condition.wait_for(guard, 1ms, [&] { return ++asked == 2; }));
    }
    Runner waiter = world.spawn([&] {
      std::unique_lock guard{lock};
      EXPECT_TRUE(condition.wait_for(guard, kPatience, [&] { return state == 9; }));
    });
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Condition));
    {
      const std::lock_guard guard{lock};
      state = 9;
    }
    condition.notify_one();
    waiter.join();
  });
}

TEST_P(ConditionConformance, KilledWaiterHoldsTheLockAgainWhenCancelledIsThrown) {
  in_world([](World& world) {
    Lock lock;
    Condition condition;
    std::atomic<bool> held{false};
    Runner waiter = world.spawn([&] {
      std::unique_lock guard{lock};
      try {
        condition.wait(guard);
      } catch (const Cancelled&) {
        held = guard.owns_lock() && lock.owner() == detail::current_context_id();
        throw;
      }
    });
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Condition));
    lock.lock();
    waiter.kill();
    // It has to take the lock first, and that is no cancellation point.
    sleep_for(5ms);
    EXPECT_FALSE(waiter.done());
    EXPECT_FALSE(held);
    lock.unlock();
    EXPECT_EQ(waiter.join(), Ending::Cancelled);
    EXPECT_TRUE(held);
    EXPECT_FALSE(lock.locked());
  });
}

TEST_P(ConditionConformance, NotificationIsNotLostOnAKilledWaiter) {
  in_world([](World& world) {
    Lock lock;
    Condition condition;
    std::atomic<int> notified{0};
    auto waiters = world.spawn_many(2, [&](int) {
      std::unique_lock guard{lock};
      condition.wait(guard);
      ++notified;
    });
    ASSERT_TRUE(soon_all_wait_in(waiters, WaitKind::Condition));
    waiters[0].kill();
    condition.notify_one();
    EXPECT_EQ(waiters[0].join(), Ending::Cancelled);
    EXPECT_EQ(waiters[1].join(), Ending::Returned);
    EXPECT_EQ(notified, 1);
  });
}

TEST_P(ConditionConformance, WaitOfAContextThatWasKilledBeforeThrowsAtOnce) {
  in_world([](World& world) {
    Lock lock;
    Condition condition;
    Runner runner = world.spawn([&] {
      std::unique_lock guard{lock};
      try {
        sleep_for(1h);
      } catch (const Cancelled&) {
      }
      EXPECT_THROW(condition.wait(guard), Cancelled);
      EXPECT_EQ(lock.owner(), detail::current_context_id());
      condition.wait(guard);
    });
    ASSERT_TRUE(runner.soon_waits_in(WaitKind::Sleep));
    runner.kill();
    EXPECT_EQ(runner.join(), Ending::Cancelled);
    EXPECT_FALSE(lock.locked());
  });
}

// A bounded buffer, the textbook use: nothing is lost, nothing doubled.
TEST_P(ConditionConformance, ServesABoundedBuffer) {
  in_world([](World& world) {
    Lock lock;
    Condition not_full;
    Condition not_empty;
    std::vector<int> buffer;
    std::vector<int> seen(4 * 300);
    const auto producer = [&](int number) {
      for (int i = 0; i < 300; ++i) {
        std::unique_lock guard{lock};
        not_full.wait(guard, [&] { return buffer.size() < 3; });
        buffer.push_back(number * 300 + i);
        not_empty.notify_one();
      }
    };
    const auto consumer = [&](int) {
      for (int i = 0; i < 300; ++i) {
        std::unique_lock guard{lock};
        not_empty.wait(guard, [&] { return !buffer.empty(); });
        ++seen[static_cast<std::size_t>(buffer.back())];
        buffer.pop_back();
        not_full.notify_one();
      }
    };
    auto producers = world.spawn_many(4, producer);
    auto consumers = world.spawn_many(4, consumer);
    join_all(producers);
    join_all(consumers);
    EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
  });
}

}  // namespace
}  // namespace weft::test
