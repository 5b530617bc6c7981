#include <weft/sync/lock.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <stdexcept>

#include <weft/base/error.hpp>

#include "support/world.hpp"

// After LockTests of CPython's Lib/test/lock_tests.py, and what weft promises beyond them.
namespace weft::test {
namespace {

using detail::WaitKind;

class LockConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(LockConformance);

TEST_P(LockConformance, CanBeTakenAndReleasedAgainAndAgain) {
  in_world([](World&) {
    Lock lock;
    for (int i = 0; i < 3; ++i) {
      EXPECT_FALSE(lock.locked());
      lock.lock();
      EXPECT_TRUE(lock.locked());
      lock.unlock();
    }
    EXPECT_FALSE(lock.locked());
  });
}

TEST_P(LockConformance, TryLockSucceedsOnlyWhileItIsFree) {
  in_world([](World& world) {
    Lock lock;
    EXPECT_TRUE(lock.try_lock());
    EXPECT_FALSE(lock.try_lock());
    world.spawn([&] { EXPECT_FALSE(lock.try_lock()); }).join();
    lock.unlock();
    world
        .spawn([&] {
          EXPECT_TRUE(lock.try_lock());
          lock.unlock();
        })
        .join();
    EXPECT_FALSE(lock.locked());
  });
}

TEST_P(LockConformance, ContendersWaitUntilItIsReleased) {
  in_world([](World& world) {
    Lock lock;
    std::atomic<int> through{0};
    lock.lock();
    auto contenders = world.spawn_many(5, [&](int) {
      lock.lock();
      ++through;
      lock.unlock();
    });
    ASSERT_TRUE(soon_all_wait_in(contenders, WaitKind::Lock));
    EXPECT_EQ(through, 0);
    lock.unlock();
    join_all(contenders);
    EXPECT_EQ(through, 5);
    EXPECT_FALSE(lock.locked());
  });
}

// Not recursive: taking it twice waits for somebody else, who cannot release it.
TEST_P(LockConformance, TakingItTwiceWaits) {
  in_world([](World& world) {
    Lock lock;
    world
        .spawn([&] {
          lock.lock();
          EXPECT_FALSE(lock.try_lock_for(10ms));
          EXPECT_EQ(lock.owner(), detail::current_context_id());
          lock.unlock();
        })
        .join();
  });
}

TEST_P(LockConformance, TimedLockWaitsItsTimeThenGivesUp) {
  in_world([](World& world) {
    Lock lock;
    const std::lock_guard guard{lock};
    world
        .spawn([&] {
          const Stopwatch watch;
          EXPECT_FALSE(lock.try_lock_for(50ms));
          EXPECT_GE(watch.elapsed(), 50ms);
          const auto point = Clock::now() + 20ms;
          EXPECT_FALSE(lock.try_lock_until(point));
          EXPECT_GE(Clock::now(), point);
          EXPECT_FALSE(lock.try_lock_for(0ms));
          EXPECT_FALSE(lock.try_lock_for(-1h));
        })
        .join();
  });
}

TEST_P(LockConformance, TimedLockTakesAFreeLockWhateverTheTimeout) {
  in_world([](World&) {
    Lock lock;
    for (const auto timeout : {Duration{-1s}, Duration{0}, Duration{1h}, Duration::max()}) {
      EXPECT_TRUE(lock.try_lock_for(timeout));
      lock.unlock();
    }
  });
}

TEST_P(LockConformance, TimedLockGetsItWhenReleasedInTime) {
  in_world([](World& world) {
    Lock lock;
    lock.lock();
    Runner contender = world.spawn([&] {
      EXPECT_TRUE(lock.try_lock_for(kPatience));
      EXPECT_EQ(lock.owner(), detail::current_context_id());
      lock.unlock();
    });
    ASSERT_TRUE(contender.soon_waits_in(WaitKind::Lock));
    lock.unlock();
    contender.join();
  });
}

// CPython issue 11618.
TEST_P(LockConformance, IsUsableAfterATimeout) {
  in_world([](World& world) {
    Lock lock;
    lock.lock();
    world.spawn([&] { EXPECT_FALSE(lock.try_lock_for(10ms)); }).join();
    EXPECT_TRUE(lock.locked());
    lock.unlock();
    EXPECT_FALSE(lock.locked());
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  });
}

TEST_P(LockConformance, OnlyItsHolderMayUnlockIt) {
  in_world([](World& world) {
    Lock lock{"ledger"};
    EXPECT_THROW(lock.unlock(), InvalidStateError);
    lock.lock();
    world
        .spawn([&] {
          try {
            lock.unlock();
            ADD_FAILURE() << "unlocked by somebody else";
          } catch (const InvalidStateError& error) {
            EXPECT_NE(std::string{error.what()}.find("ledger"), std::string::npos) << error.what();
          }
        })
        .join();
    EXPECT_EQ(lock.owner(), detail::current_context_id());
    lock.unlock();
    EXPECT_THROW(lock.unlock(), InvalidStateError);
    EXPECT_FALSE(lock.locked());
  });
}

TEST_P(LockConformance, NamesItsOwner) {
  in_world([](World& world) {
    Lock lock;
    EXPECT_EQ(lock.owner(), 0u);
    Event taken;
    Event enough;
    std::uint64_t holder = 0;
    Runner runner = world.spawn([&] {
      const std::lock_guard guard{lock};
      holder = detail::current_context_id();
      taken.set();
      enough.wait();
    });
    ASSERT_TRUE(taken.wait_for(kPatience));
    EXPECT_EQ(lock.owner(), holder);
    EXPECT_NE(holder, detail::current_context_id());
    enough.set();
    runner.join();
    EXPECT_EQ(lock.owner(), 0u);
  });
}

// The owner's number is the context's, not the thread's: a holder may sleep, and wake on another worker.
TEST_P(LockConformance, IsHeldAcrossSleepsAndYields) {
  in_world([](World& world) {
    Lock lock;
    int value = 0;
    auto runners = world.spawn_many(4, [&](int) {
      for (int i = 0; i < 20; ++i) {
        const std::lock_guard guard{lock};
        const int seen = value;
        if (i % 2) {
          yield();
        } else {
          sleep_for(50us);
        }
        value = seen + 1;
      }
    });
    join_all(runners);
    EXPECT_EQ(value, 80);
  });
}

TEST_P(LockConformance, WorksWithTheGuardsOfTheStandardLibrary) {
  in_world([](World&) {
    Lock a;
    Lock b;
    {
      const std::scoped_lock both{a, b};
      EXPECT_TRUE(a.locked());
      EXPECT_TRUE(b.locked());
    }
    std::unique_lock guard{a, std::try_to_lock};
    EXPECT_TRUE(guard.owns_lock());
    EXPECT_FALSE((std::unique_lock{a, 1ms}.owns_lock()));
    guard.unlock();
    EXPECT_TRUE((std::unique_lock{a, Clock::now() + 1s}.owns_lock()));
    EXPECT_FALSE(a.locked());
  });
}

TEST_P(LockConformance, AGuardReleasesItWhenItsBodyThrows) {
  in_world([](World& world) {
    Lock lock;
    EXPECT_THROW(
        {
          const std::lock_guard guard{lock};
          throw std::runtime_error{"inside"};
        },
        std::runtime_error);
    EXPECT_FALSE(lock.locked());
    world.spawn([&] { const std::lock_guard guard{lock}; }).join();
  });
}

TEST_P(LockConformance, ScopedLocksInOppositeOrderDoNotDeadlock) {
  in_world([](World& world) {
    Lock a;
    Lock b;
    int both = 0;
    auto runners = world.spawn_many(4, [&](int number) {
      for (int i = 0; i < 200; ++i) {
        if (number % 2) {
          const std::scoped_lock guard{a, b};
          ++both;
        } else {
          const std::scoped_lock guard{b, a};
          ++both;
        }
      }
    });
    join_all(runners);
    EXPECT_EQ(both, 800);
  });
}

TEST_P(LockConformance, ExcludesOthersUnderContention) {
  in_world([](World& world) {
    Lock lock;
    long value = 0;  // not atomic: a second holder would lose counts, and ThreadSanitizer would see it
    bool inside = false;
    auto runners = world.spawn_many(8, [&](int number) {
      for (int i = 0; i < 500; ++i) {
        const std::lock_guard guard{lock};
        EXPECT_FALSE(std::exchange(inside, true));
        ++value;
        if ((i + number) % 64 == 0) yield();
        inside = false;
      }
    });
    join_all(runners);
    EXPECT_EQ(value, 8 * 500);
    EXPECT_FALSE(lock.locked());
  });
}

// Fairness: whoever is passed over is handed the lock within milliseconds, however eager the others are.
TEST_P(LockConformance, NobodyStarves) {
  in_world([](World& world) {
    Lock lock;
    std::atomic<bool> stop{false};
    auto eager = world.spawn_many(2, [&](int) {
      while (!stop) {
        lock.lock();
        lock.unlock();
        lock.lock();
        yield();
        lock.unlock();
      }
    });
    Runner modest = world.spawn([&] {
      for (int i = 0; i < 20; ++i) {
        lock.lock();
        lock.unlock();
        yield();
      }
    });
    EXPECT_TRUE(eventually([&] { return modest.done(); }));
    stop = true;
    join_all(eager);
    modest.join();
  });
}

TEST_P(LockConformance, LockIsNoCancellationPoint) {
  in_world([](World& world) {
    Lock lock;
    std::atomic<bool> got_it{false};
    lock.lock();
    Runner killed = world.spawn([&] {
      lock.lock();
      got_it = lock.owner() == detail::current_context_id();
      lock.unlock();
      lock.lock();  // nor afterwards
      lock.unlock();
      sleep_for(1h);  // here it ends
    });
    ASSERT_TRUE(killed.soon_waits_in(WaitKind::Lock));
    killed.kill();
    sleep_for(5ms);
    EXPECT_FALSE(killed.done());
    EXPECT_FALSE(got_it);
    lock.unlock();
    EXPECT_EQ(killed.join(), Ending::Cancelled);
    EXPECT_TRUE(got_it);
    EXPECT_FALSE(lock.locked());
  });
}

TEST_P(LockConformance, TimedLockIsACancellationPoint) {
  in_world([](World& world) {
    Lock lock;
    lock.lock();
    std::atomic<bool> returned{false};
    auto killed = world.spawn_many(2, [&](int) {
      (void)lock.try_lock_for(1h);
      returned = true;
    });
    ASSERT_TRUE(soon_all_wait_in(killed, WaitKind::Lock));
    killed[0].kill();
    EXPECT_EQ(killed[0].join(), Ending::Cancelled);
    EXPECT_FALSE(killed[1].done());
    killed[1].kill();
    EXPECT_EQ(killed[1].join(), Ending::Cancelled);
    EXPECT_FALSE(returned);
    EXPECT_EQ(lock.owner(), detail::current_context_id());
    lock.unlock();
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  });
}

// A free lock is taken even by one who is to end: try_lock never waits, so there is nothing to cancel.
TEST_P(LockConformance, TryLockOfAKilledContextStillTakesAFreeLock) {
  in_world([](World& world) {
    Lock lock;
    Runner runner = world.spawn([&] {
      try {
        sleep_for(1h);
      } catch (const Cancelled&) {
        EXPECT_TRUE(lock.try_lock());
        lock.unlock();
        EXPECT_TRUE(lock.try_lock_for(1ms));
        lock.unlock();
        throw;
      }
    });
    ASSERT_TRUE(runner.soon_waits_in(WaitKind::Sleep));
    runner.kill();
    EXPECT_EQ(runner.join(), Ending::Cancelled);
  });
}

}  // namespace
}  // namespace weft::test
