#include <weft/sync/semaphore.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <stdexcept>

#include <weft/base/error.hpp>
#include <weft/sync/bounded_semaphore.hpp>
#include <weft/sync/lock.hpp>

#include "support/world.hpp"

// After BaseSemaphoreTests and SemaphoreTests of CPython's Lib/test/lock_tests.py, and what weft promises beyond them.
namespace weft::test {
namespace {

using detail::WaitKind;

class SemaphoreConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(SemaphoreConformance);

TEST_P(SemaphoreConformance, StartsWithOnePermitUnlessToldOtherwise) {
  in_world([](World&) {
    EXPECT_EQ(Semaphore{}.value(), 1u);
    EXPECT_EQ(Semaphore{7}.value(), 7u);
    EXPECT_EQ(Semaphore{Semaphore::max_value()}.value(), Semaphore::max_value());
    EXPECT_THROW(Semaphore{Semaphore::max_value() + 1}, InvalidStateError);
    Semaphore semaphore;
    EXPECT_TRUE(semaphore.try_acquire());
    EXPECT_FALSE(semaphore.try_acquire());
  });
}

TEST_P(SemaphoreConformance, AcquireTakesAndReleaseGivesBack) {
  in_world([](World&) {
    Semaphore semaphore{2};
    semaphore.acquire();
    semaphore.acquire();
    EXPECT_EQ(semaphore.value(), 0u);
    EXPECT_FALSE(semaphore.try_acquire());
    semaphore.release();
    EXPECT_EQ(semaphore.value(), 1u);
    EXPECT_TRUE(semaphore.try_acquire());
    semaphore.release(2);
    EXPECT_EQ(semaphore.value(), 2u);
  });
}

TEST_P(SemaphoreConformance, MayBeReleasedWithoutHavingBeenAcquired) {
  in_world([](World&) {
    Semaphore semaphore{1};
    semaphore.release();
    semaphore.acquire();
    EXPECT_TRUE(semaphore.try_acquire());
    EXPECT_FALSE(semaphore.try_acquire());
  });
}

TEST_P(SemaphoreConformance, AsManyGetThroughAsThereArePermits) {
  in_world([](World& world) {
    Semaphore semaphore{7};
    std::atomic<int> through{0};
    auto runners = world.spawn_many(10, [&](int) {
      semaphore.acquire();
      ++through;
      semaphore.acquire();
      ++through;
    });
    ASSERT_TRUE(eventually([&] { return through == 7; }));
    for (const Runner& runner : runners) {
      ASSERT_TRUE(eventually([&] { return runner.done() || runner.waits_in() == WaitKind::Semaphore; }));
    }
    EXPECT_EQ(through, 7);
    for (int i = 0; i < 6; ++i) semaphore.release();
    ASSERT_TRUE(eventually([&] { return through == 13; }));
    for (int i = 0; i < 7; ++i) semaphore.release();
    join_all(runners);
    EXPECT_EQ(through, 20);
    EXPECT_EQ(semaphore.value(), 0u);
  });
}

TEST_P(SemaphoreConformance, ReleasingSeveralLetsSeveralThrough) {
  in_world([](World& world) {
    Semaphore semaphore{0};
    std::atomic<int> through{0};
    auto runners = world.spawn_many(6, [&](int) {
      semaphore.acquire();
      ++through;
    });
    ASSERT_TRUE(soon_all_wait_in(runners, WaitKind::Semaphore));
    semaphore.release(4);
    ASSERT_TRUE(eventually([&] { return through == 4; }));
    EXPECT_EQ(semaphore.value(), 0u);
    semaphore.release(5);
    join_all(runners);
    EXPECT_EQ(through, 6);
    EXPECT_EQ(semaphore.value(), 3u);
  });
}

TEST_P(SemaphoreConformance, ReleasingNoneLetsNobodyThrough) {
  in_world([](World& world) {
    Semaphore semaphore{0};
    Runner waiter = world.spawn([&] { EXPECT_FALSE(semaphore.try_acquire_for(5ms)); });
    semaphore.release(0);
    waiter.join();
    EXPECT_EQ(semaphore.value(), 0u);
  });
}

TEST_P(SemaphoreConformance, TryAcquireSucceedsAsOftenAsThereArePermits) {
  in_world([](World& world) {
    Semaphore semaphore{7};
    std::atomic<int> taken{0};
    const auto try_some = [&](int) {
      for (int i = 0; i < 2; ++i) {
        if (semaphore.try_acquire()) ++taken;
        yield();
      }
    };
    auto runners = world.spawn_many(10, try_some);
    join_all(runners);
    EXPECT_EQ(taken, 7);
    semaphore.release(5);
    runners = world.spawn_many(10, try_some);
    join_all(runners);
    EXPECT_EQ(taken, 12);
  });
}

TEST_P(SemaphoreConformance, ServesTheOldestWaiterFirstAndNobodyPassesHim) {
  in_world([](World& world) {
    Semaphore semaphore{0};
    std::vector<int> order;
    Lock lock;
    std::vector<Runner> runners;
    for (int i = 0; i < 5; ++i) {
      runners.push_back(world.spawn([&, i] {
        semaphore.acquire();
        const std::lock_guard guard{lock};
        order.push_back(i);
      }));
      ASSERT_TRUE(runners.back().soon_waits_in(WaitKind::Semaphore));
    }
    for (int i = 0; i < 5; ++i) {
      semaphore.release();
      // The permit went to the waiter with the release itself.
      EXPECT_FALSE(semaphore.try_acquire());
      ASSERT_TRUE(eventually([&] {
        const std::lock_guard guard{lock};
        return order.size() == static_cast<std::size_t>(i) + 1;
      }));
    }
    join_all(runners);
    EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
  });
}

TEST_P(SemaphoreConformance, TimedAcquireWaitsItsTimeThenGivesUp) {
  in_world([](World& world) {
    Semaphore semaphore{2};
    semaphore.acquire();
    EXPECT_TRUE(semaphore.try_acquire_for(5ms));
    world
        .spawn([&] {
          const Stopwatch watch;
          EXPECT_FALSE(semaphore.try_acquire_for(50ms));
          EXPECT_GE(watch.elapsed(), 50ms);
          const auto point = Clock::now() + 20ms;
          EXPECT_FALSE(semaphore.try_acquire_until(point));
          EXPECT_GE(Clock::now(), point);
          EXPECT_FALSE(semaphore.try_acquire_for(-1h));
        })
        .join();
    semaphore.release();
    EXPECT_TRUE(semaphore.try_acquire_for(0s));
    EXPECT_EQ(semaphore.value(), 0u);
  });
}

TEST_P(SemaphoreConformance, TimedAcquireGetsAPermitReleasedInTime) {
  in_world([](World& world) {
    Semaphore semaphore{0};
    Runner runner = world.spawn([&] { EXPECT_TRUE(semaphore.try_acquire_for(kPatience)); });
    ASSERT_TRUE(runner.soon_waits_in(WaitKind::Semaphore));
    semaphore.release();
    runner.join();
    EXPECT_EQ(semaphore.value(), 0u);
  });
}

TEST_P(SemaphoreConformance, RefusesMorePermitsThanItCanHold) {
  in_world([](World&) {
    Semaphore semaphore{Semaphore::max_value() - 1};
    EXPECT_THROW(semaphore.release(2), InvalidStateError);
    EXPECT_EQ(semaphore.value(), Semaphore::max_value() - 1);
    semaphore.release();
    EXPECT_THROW(semaphore.release(), InvalidStateError);
    EXPECT_THROW(semaphore.release(0xFFFFFFFF), InvalidStateError);
    EXPECT_EQ(semaphore.value(), Semaphore::max_value());
  });
}

TEST_P(SemaphoreConformance, IsALockForTheGuardsOfTheStandardLibrary) {
  in_world([](World& world) {
    Semaphore semaphore{2};
    {
      const std::lock_guard first{semaphore};
      EXPECT_EQ(semaphore.value(), 1u);
      const std::unique_lock second{semaphore, std::try_to_lock};
      EXPECT_TRUE(second.owns_lock());
      world.spawn([&] { EXPECT_FALSE(semaphore.try_lock()); }).join();
    }
    EXPECT_EQ(semaphore.value(), 2u);
  });
}

TEST_P(SemaphoreConformance, AGuardGivesItsPermitBackWhenItsBodyThrows) {
  in_world([](World&) {
    Semaphore semaphore{1};
    EXPECT_THROW(
        {
          const std::lock_guard guard{semaphore};
          throw std::runtime_error{"inside"};
        },
        std::runtime_error);
    EXPECT_EQ(semaphore.value(), 1u);
  });
}

TEST_P(SemaphoreConformance, AcquireIsACancellationPointThatLosesNoPermit) {
  in_world([](World& world) {
    Semaphore semaphore{0};
    auto runners = world.spawn_many(3, [&](int number) {
      if (number == 1) {
        semaphore.acquire();
      } else {
        (void)semaphore.try_acquire_for(1h);
      }
    });
    ASSERT_TRUE(soon_all_wait_in(runners, WaitKind::Semaphore));
    runners[0].kill();
    runners[1].kill();
    EXPECT_EQ(runners[0].join(), Ending::Cancelled);
    EXPECT_EQ(runners[1].join(), Ending::Cancelled);
    semaphore.release(2);
    EXPECT_EQ(runners[2].join(), Ending::Returned);
    EXPECT_EQ(semaphore.value(), 1u);
  });
}

TEST_P(SemaphoreConformance, NoMoreAreInsideThanItHasPermits) {
  in_world([](World& world) {
    constexpr int kPermits = 3;
    Semaphore semaphore{kPermits};
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    auto runners = world.spawn_many(8, [&](int number) {
      for (int i = 0; i < 200; ++i) {
        const std::lock_guard guard{semaphore};
        const int now = ++inside;
        EXPECT_LE(now, kPermits);
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        if ((i + number) % 8 == 0) yield();
        --inside;
      }
    });
    join_all(runners);
    EXPECT_EQ(semaphore.value(), static_cast<unsigned>(kPermits));
    EXPECT_GT(most, 0);
  });
}

TEST_P(SemaphoreConformance, BoundedHasNeverMoreThanItBeganWith) {
  in_world([](World& world) {
    BoundedSemaphore seats{3};
    EXPECT_THROW(seats.release(), InvalidStateError);
    EXPECT_EQ(seats.value(), 3u);
    seats.acquire();
    EXPECT_THROW(seats.release(2), InvalidStateError);
    EXPECT_EQ(seats.value(), 2u);
    seats.release();
    EXPECT_THROW(seats.release(), InvalidStateError);
    {
      std::lock_guard seat{seats};
      EXPECT_EQ(seats.value(), 2u);
    }
    EXPECT_EQ(seats.value(), 3u);
    // With somebody waiting, too.
    BoundedSemaphore one;
    one.acquire();
    Runner waiter = world.spawn([&] { one.acquire(); });
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Semaphore));
    EXPECT_THROW(one.release(3), InvalidStateError);
    one.release();
    EXPECT_EQ(waiter.join(), Ending::Returned);
    one.release();
    EXPECT_THROW(one.release(), InvalidStateError);
  });
}

}  // namespace
}  // namespace weft::test
