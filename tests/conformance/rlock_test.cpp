#include <weft/sync/rlock.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <stdexcept>

#include <weft/base/error.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/condition.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

// After RLockTests and, for conditions over an RLock, ConditionTests of CPython's Lib/test/lock_tests.py, and what weft
// promises beyond them.
namespace weft::test {
namespace {

using detail::WaitKind;

class RLockConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(RLockConformance);

TEST_P(RLockConformance, IsFreeWhenReleasedAsOftenAsTaken) {
  in_world([](World& world) {
    RLock lock;
    EXPECT_FALSE(lock.locked());
    EXPECT_EQ(lock.depth(), 0u);
    lock.lock();
    lock.lock();
    ASSERT_TRUE(lock.try_lock());
    ASSERT_TRUE(lock.try_lock_for(1ms));
    EXPECT_EQ(lock.depth(), 4u);
    EXPECT_EQ(lock.owner(), detail::current_context_id());
    for (int left = 3; left >= 0; --left) {
      world.spawn([&] { EXPECT_FALSE(lock.try_lock()); }).join();
      lock.unlock();
      EXPECT_EQ(lock.depth(), static_cast<std::uint64_t>(left));
    }
    EXPECT_FALSE(lock.locked());
    world.spawn([&] {
           EXPECT_TRUE(lock.try_lock());
           lock.unlock();
         })
        .join();
  });
}

TEST_P(RLockConformance, OnlyItsHolderMayReleaseIt) {
  in_world([](World& world) {
    RLock lock{"ledger"};
    EXPECT_THROW(lock.unlock(), InvalidStateError);
    lock.lock();
    world.spawn([&] {
           EXPECT_THROW(lock.unlock(), InvalidStateError);
           EXPECT_EQ(lock.depth(), 0u);
         })
        .join();
    EXPECT_EQ(lock.depth(), 1u);
    lock.unlock();
    try {
      lock.unlock();
      ADD_FAILURE() << "released once too often";
    } catch (const InvalidStateError& error) {
      EXPECT_NE(std::string{error.what()}.find("RLock \"ledger\""), std::string::npos) << error.what();
    }
    EXPECT_FALSE(lock.locked());
  });
}

TEST_P(RLockConformance, GuardsReleaseItWhenTheirBodyThrows) {
  in_world([](World&) {
    RLock lock;
    EXPECT_THROW(
        {
          const std::lock_guard outer{lock};
          const std::lock_guard inner{lock};
          throw std::runtime_error{"inside"};
        },
        std::runtime_error);
    EXPECT_EQ(lock.depth(), 0u);
    EXPECT_FALSE(lock.locked());
  });
}

TEST_P(RLockConformance, OthersWaitForTheLastRelease) {
  in_world([](World& world) {
    RLock lock;
    std::atomic<bool> entered{false};
    lock.lock();
    lock.lock();
    Runner other = world.spawn([&] {
      const std::lock_guard guard{lock};
      entered = true;
    });
    ASSERT_TRUE(other.soon_waits_in(WaitKind::RLock));
    lock.unlock();
    world.spawn([&] { EXPECT_FALSE(lock.try_lock()); }).join();
    EXPECT_FALSE(entered);
    lock.unlock();
    EXPECT_EQ(other.join(), Ending::Returned);
    EXPECT_TRUE(entered);
  });
}

TEST_P(RLockConformance, TimedFormsGiveUpInTime) {
  in_world([](World& world) {
    RLock lock;
    lock.lock();
    world.spawn([&] {
           EXPECT_FALSE(lock.try_lock_for(5ms));
           EXPECT_FALSE(lock.try_lock_until(Clock::now() + 5ms));
           EXPECT_EQ(lock.depth(), 0u);
         })
        .join();
    lock.unlock();
    EXPECT_FALSE(lock.locked());
  });
}

TEST_P(RLockConformance, ExcludesAllOthersThroughNestedCalls) {
  in_world([](World& world) {
    RLock lock;
    long counter = 0;
    const int turns = rounds(200);
    auto runners = world.spawn_many(8, [&](int) {
      for (int i = 0; i < turns; ++i) {
        const std::lock_guard outer{lock};
        const long before = counter;
        {
          const std::lock_guard inner{lock};
          counter = before + 1;
          if (i % 16 == 0) yield();
        }
        EXPECT_EQ(counter, before + 1);
      }
    });
    join_all(runners);
    EXPECT_EQ(counter, 8L * turns);
  });
}

TEST_P(RLockConformance, AConditionGivesItBackWhollyAndTakesItAsOften) {
  in_world([](World& world) {
    RLock lock;
    Condition condition;
    bool ready = false;
    Runner waiter = world.spawn([&] {
      const std::lock_guard outer{lock};
      const std::lock_guard middle{lock};
      std::unique_lock guard{lock};
      condition.wait(guard, [&] { return ready; });
      EXPECT_EQ(lock.depth(), 3u);
    });
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Condition));
    {
      const std::lock_guard guard{lock};
      ready = true;
    }
    condition.notify_one();
    EXPECT_EQ(waiter.join(), Ending::Returned);
    EXPECT_FALSE(lock.locked());
  });
}

TEST_P(RLockConformance, AConditionThatTimesOutOrIsKilledHoldsItAsOftenAgain) {
  in_world([](World& world) {
    RLock lock;
    Condition condition;
    {
      const std::lock_guard outer{lock};
      std::unique_lock guard{lock};
      EXPECT_FALSE(condition.wait_for(guard, 2ms));
      EXPECT_EQ(lock.depth(), 2u);
    }
    std::atomic<std::uint64_t> depth_when_killed{0};
    Runner killed = world.spawn([&] {
      const std::lock_guard outer{lock};
      std::unique_lock guard{lock};
      try {
        condition.wait(guard);
      } catch (const Cancelled&) {
        depth_when_killed = lock.depth();
        throw;
      }
    });
    ASSERT_TRUE(killed.soon_waits_in(WaitKind::Condition));
    killed.kill();
    EXPECT_EQ(killed.join(), Ending::Cancelled);
    EXPECT_EQ(depth_when_killed, 2u);
    EXPECT_FALSE(lock.locked());
  });
}

TEST_P(RLockConformance, AConditionRefusesAWaiterWithoutIt) {
  in_world([](World& world) {
    RLock lock;
    Condition condition;
    std::unique_lock guard{lock};
    world.spawn([&] { EXPECT_THROW((void)condition.wait_for(guard, 1ms), InvalidStateError); }).join();
  });
}

}  // namespace
}  // namespace weft::test
