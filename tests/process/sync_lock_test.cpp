#include <weft/process/lock.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/process/event.hpp>
#include <weft/process/rlock.hpp>
#include <weft/sync/scope.hpp>

#include "support/world.hpp"
#include "sync_child.hpp"
#include "sync_sent.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

class ProcessLock : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(ProcessLock);

TEST_P(ProcessLock, CanBeTakenAndReleasedAgainAndAgain) {
  in_world([](World&) {
    process::Lock lock;
    for (int i = 0; i < 3; ++i) {
      EXPECT_FALSE(lock.locked());
      EXPECT_EQ(lock.owner(), 0);
      lock.lock();
      EXPECT_TRUE(lock.locked());
      EXPECT_EQ(lock.owner(), ::getpid());
      EXPECT_FALSE(lock.try_lock());
      lock.unlock();
    }
  });
}

TEST_P(ProcessLock, CopiesAndWhatIsSentAreTheSameLock) {
  in_world([](World&) {
    process::Lock lock{"shared"};
    process::Lock copy = lock;
    process::Lock there = sent(lock);
    const std::lock_guard guard{copy};
    EXPECT_TRUE(lock.locked());
    EXPECT_TRUE(there.locked());
    EXPECT_STREQ(there.name(), "shared");
    process::Lock other;
    EXPECT_FALSE(other.locked());
    EXPECT_EQ(other.name(), nullptr);
  });
}

TEST_P(ProcessLock, OutlivesTheHandleItWasMadeWith) {
  in_world([](World&) {
    auto first = std::make_unique<process::Lock>();
    process::Lock second = sent(*first);
    first->lock();
    first.reset();
    EXPECT_FALSE(second.try_lock());
    second.unlock();
    EXPECT_TRUE(second.try_lock());
  });
}

TEST_P(ProcessLock, ContendersWaitUntilItIsReleased) {
  in_world([](World& world) {
    process::Lock lock;
    int through = 0;
    lock.lock();
    auto contenders = world.spawn_many(5, [&](int) {
      const std::lock_guard guard{lock};
      ++through;
    });
    EXPECT_TRUE(soon_all_wait_in(contenders, WaitKind::Lock));
    EXPECT_EQ(through, 0);
    lock.unlock();
    join_all(contenders);
    EXPECT_EQ(through, 5);
  });
}

TEST_P(ProcessLock, TimedFormsGiveUpAtTheirDeadline) {
  in_world([](World& world) {
    process::Lock lock;
    lock.lock();
    world
        .spawn([&] {
          const Stopwatch watch;
          EXPECT_FALSE(lock.try_lock_for(20ms));
          EXPECT_GE(watch.elapsed(), 20ms);
          EXPECT_FALSE(lock.try_lock_until(Clock::now() - 1s));
          const DeadlineScope scope{5ms};
          EXPECT_THROW((void)lock.try_lock_for(1h), TimeoutError);
        })
        .join();
    Runner waiter = world.spawn([&] { EXPECT_TRUE(lock.try_lock_for(kPatience)); });
    EXPECT_TRUE(waiter.soon_waits_in(WaitKind::Lock));
    lock.unlock();
    EXPECT_EQ(waiter.join(), Ending::Returned);
  });
}

TEST_P(ProcessLock, AKillEndsATimedWaitAndLeavesTheLockToOthers) {
  in_world([](World& world) {
    process::Lock lock;
    lock.lock();
    Runner killed = world.spawn([&] { (void)lock.try_lock_for(1h); });
    Runner other = world.spawn([&] { lock.lock(); });
    EXPECT_TRUE(killed.soon_waits_in(WaitKind::Lock));
    EXPECT_TRUE(other.soon_waits_in(WaitKind::Lock));
    killed.kill();
    lock.unlock();
    EXPECT_EQ(killed.join(), Ending::Cancelled);
    EXPECT_EQ(other.join(), Ending::Returned);
  });
}

TEST_P(ProcessLock, MayBeReleasedByAnyContextButNotTwice) {
  in_world([](World& world) {
    process::Lock lock{"turnstile"};
    world.spawn([&] { lock.lock(); }).join();
    lock.unlock();
    try {
      lock.unlock();
      ADD_FAILURE() << "unlocked twice";
    } catch (const InvalidStateError& error) {
      EXPECT_STREQ(error.what(), "unlock process Lock \"turnstile\": nobody holds it");
    }
    EXPECT_THROW(lock.recovered(), InvalidStateError);
  });
}

TEST(ProcessLockAmongProcesses, ExcludesThem) {
  constexpr int kEach = 2000;
  process::Lock lock;
  const InSharedMemory<long> counter;
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) {
    children.emplace_back([&] {
      for (int j = 0; j < kEach; ++j) {
        const std::lock_guard guard{lock};
        volatile long& value = *counter;
        value = value + 1;
      }
      return true;
    });
  }
  for (Child& child : children) EXPECT_EQ(child.join(), 0);
  EXPECT_EQ(*counter, 4 * kEach);
}

TEST(ProcessLockAmongProcesses, IsReleasedByAnotherThanTheOneThatTookIt) {
  process::Lock lock;
  lock.lock();
  Child child{[&] {
    lock.unlock();
    return true;
  }};
  lock.lock();
  EXPECT_EQ(child.join(), 0);
}

TEST(ProcessLockAmongProcesses, IsSentToOneThatCannotHaveInheritedIt) {
  Parcels way;
  Child child{[&] {
    auto lock = way.receive<process::Lock>();
    auto done = way.receive<process::RLock>();
    if (lock.try_lock()) return false;
    done.lock();
    lock.unlock();
    return true;
  }};
  process::Lock lock;
  process::RLock done;
  lock.lock();
  way.send(lock);
  way.send(done);
  // Not by lock(), which would be a deadlock: who took it waits for it.
  EXPECT_TRUE(lock.try_lock_for(kPatience));
  EXPECT_EQ(child.join(), 0);
  done.lock();
  EXPECT_TRUE(done.owner_died());
}

TEST(ProcessLockAmongProcesses, WhatIsNoLockIsNotReceivedAsOne) {
  process::RLock other;
  process::Outgoing out;
  process::Transfer<process::RLock>::send(out, other);
  process::Incoming in{out.bytes(), out.take_descriptors()};
  EXPECT_THROW((void)process::Transfer<process::Lock>::receive(in), ProtocolError);
  process::Incoming nothing{{}};
  EXPECT_THROW((void)process::Transfer<process::Lock>::receive(nothing), ProtocolError);
}

/// Lock or RLock.
template <class L>
class AnyProcessLock : public testing::Test {};
using Locks = testing::Types<process::Lock, process::RLock>;
TYPED_TEST_SUITE(AnyProcessLock, Locks);

TYPED_TEST(AnyProcessLock, TheNextAfterADeadOwnerHasItAndIsTold) {
  TypeParam lock;
  const InSharedMemory<std::atomic<int>> held;
  Child owner{[&] {
    lock.lock();
    *held = 1;
    for (;;) ::pause();
    return false;
  }};
  ASSERT_TRUE(eventually([&] { return *held == 1; }));
  auto fiber = spawn([&] {
    const std::lock_guard guard{lock};
    return lock.owner_died();
  });
  std::atomic<bool> told{false};
  std::thread thread{[&] {
    const std::lock_guard guard{lock};
    told = lock.owner_died();
  }};
  EXPECT_FALSE(lock.try_lock_for(30ms));
  EXPECT_EQ(lock.owner(), owner.pid());
  owner.kill();
  EXPECT_TRUE(fiber.get());
  thread.join();
  EXPECT_TRUE(told);
  {
    const std::lock_guard guard{lock};
    EXPECT_TRUE(lock.owner_died());
    lock.recovered();
    EXPECT_FALSE(lock.owner_died());
  }
  const std::lock_guard guard{lock};
  EXPECT_FALSE(lock.owner_died());
}

TYPED_TEST(AnyProcessLock, AProcessThatExitsWhileItHoldsTheLockIsADeadOwner) {
  TypeParam lock;
  Child owner{[&] {
    lock.lock();
    return true;
  }};
  EXPECT_EQ(owner.join(), 0);
  EXPECT_TRUE(lock.try_lock_for(kPatience));
  EXPECT_TRUE(lock.owner_died());
}

TYPED_TEST(AnyProcessLock, AKilledWaiterTakesNothingWithIt) {
  TypeParam lock;
  lock.lock();
  std::vector<Child> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.emplace_back([&] {
      const std::lock_guard guard{lock};
      return !lock.owner_died();
    });
  }
  sleep_for(10ms);
  waiters[1].kill();
  lock.unlock();
  EXPECT_EQ(waiters[0].join(), 0);
  EXPECT_EQ(waiters[2].join(), 0);
  lock.lock();
  EXPECT_FALSE(lock.owner_died());
}

class ProcessRLock : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(ProcessRLock);

TEST_P(ProcessRLock, IsFreeWhenReleasedAsOftenAsTaken) {
  in_world([](World& world) {
    process::RLock lock{"nested"};
    lock.lock();
    EXPECT_TRUE(lock.try_lock());
    EXPECT_TRUE(lock.try_lock_for(1s));
    EXPECT_EQ(lock.depth(), 3u);
    Runner other = world.spawn([&] {
      EXPECT_FALSE(lock.try_lock());
      EXPECT_EQ(lock.depth(), 0u);
      EXPECT_THROW(lock.unlock(), InvalidStateError);
      EXPECT_THROW(lock.recovered(), InvalidStateError);
      lock.lock();
      EXPECT_EQ(lock.depth(), 1u);
      lock.unlock();
    });
    EXPECT_TRUE(other.soon_waits_in(WaitKind::RLock));
    for (int i = 0; i < 3; ++i) lock.unlock();
    EXPECT_EQ(other.join(), Ending::Returned);
    EXPECT_FALSE(lock.locked());
    EXPECT_THROW(lock.unlock(), InvalidStateError);
  });
}

TEST(ProcessRLockAmongProcesses, AChildDoesNotHoldWhatItsParentHolds) {
  process::RLock lock;
  process::Event tried;
  lock.lock();
  lock.lock();
  Child child{[&] {
    if (lock.try_lock() || lock.depth() != 0) return false;
    try {
      lock.unlock();
      return false;
    } catch (const InvalidStateError&) {
    }
    tried.set();
    lock.lock();
    return lock.depth() == 1 && !lock.owner_died();
  }};
  EXPECT_TRUE(tried.wait_for(kPatience));
  lock.unlock();
  EXPECT_TRUE(lock.locked());
  lock.unlock();
  EXPECT_EQ(child.join(), 0);
}

}  // namespace
}  // namespace weft::test
