#include <weft/process/condition.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <vector>

#include <weft/base/error.hpp>

#include "support/world.hpp"
#include "sync_child.hpp"
#include "sync_sent.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

class ProcessCondition : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(ProcessCondition);

/// A lock, a condition and waiters who count themselves.
struct Scene {
  process::Lock lock;
  process::Condition changed;
  std::atomic<int> through{0};

  void wait() {
    std::unique_lock guard{lock};
    changed.wait(guard);
    EXPECT_TRUE(lock.locked());
    ++through;
  }
  [[nodiscard]] bool soon_through(int count) const {
    return eventually([&] { return through == count; });
  }
};

TEST_P(ProcessCondition, NotifyLetsSoManyGoOn) {
  in_world([](World& world) {
    Scene scene;
    scene.changed.notify_all();  // nobody waits: no effect
    auto waiters = world.spawn_many(6, [&](int) { scene.wait(); });
    EXPECT_TRUE(soon_all_wait_in(waiters, WaitKind::Condition));
    scene.changed.notify_one();
    EXPECT_TRUE(scene.soon_through(1));
    scene.changed.notify(2);
    EXPECT_TRUE(scene.soon_through(3));
    sleep_for(20ms);
    EXPECT_EQ(scene.through, 3);
    scene.changed.notify_all();
    join_all(waiters);
    EXPECT_EQ(scene.through, 6);
  });
}

TEST_P(ProcessCondition, ANotificationIsForThoseWhoWaitNotForWhoComesLater) {
  in_world([](World& world) {
    Scene scene;
    Runner first = world.spawn([&] { scene.wait(); });
    EXPECT_TRUE(first.soon_waits_in(WaitKind::Condition));
    std::unique_lock guard{scene.lock};
    scene.changed.notify(5);
    EXPECT_FALSE(scene.changed.wait_for(guard, 20ms));
    guard.unlock();
    EXPECT_EQ(first.join(), Ending::Returned);
  });
}

TEST_P(ProcessCondition, ADeadlineEndsAWaitWithTheLockHeld) {
  in_world([](World&) {
    process::Lock lock;
    process::Condition changed;
    std::unique_lock guard{lock};
    EXPECT_FALSE(changed.wait_for(guard, 10ms));
    EXPECT_FALSE(changed.wait_for(guard, 1ms, [] { return false; }));
    EXPECT_TRUE(changed.wait_for(guard, 1ms, [] { return true; }));
    EXPECT_TRUE(guard.owns_lock());
    EXPECT_FALSE(lock.try_lock());
  });
}

TEST_P(ProcessCondition, AKillEndsAWaitAndALostNotificationGoesToTheNext) {
  in_world([](World& world) {
    for (int round = 0; round < 20; ++round) {
      Scene scene;
      Runner killed = world.spawn([&] { scene.wait(); });
      Runner other = world.spawn([&] { scene.wait(); });
      EXPECT_TRUE(killed.soon_waits_in(WaitKind::Condition));
      EXPECT_TRUE(other.soon_waits_in(WaitKind::Condition));
      killed.kill();
      scene.changed.notify_one();
      if (killed.join() == Ending::Returned) scene.changed.notify_one();
      EXPECT_EQ(other.join(), Ending::Returned);
    }
  });
}

TEST_P(ProcessCondition, AnRLockIsGivenBackWholly) {
  in_world([](World& world) {
    process::RLock lock;
    process::Condition changed{"deep"};
    bool ready = false;
    Runner waiter = world.spawn([&] {
      std::unique_lock outer{lock};
      std::unique_lock inner{lock};
      changed.wait(inner, [&] { return ready; });
      EXPECT_EQ(lock.depth(), 2u);
    });
    EXPECT_TRUE(waiter.soon_waits_in(WaitKind::Condition));
    {
      const std::lock_guard guard{lock};
      ready = true;
      changed.notify_all();
    }
    EXPECT_EQ(waiter.join(), Ending::Returned);
    EXPECT_FALSE(lock.locked());
    EXPECT_STREQ(sent(changed).name(), "deep");
  });
}

TEST_P(ProcessCondition, WaitingWithoutTheLockIsAnError) {
  in_world([](World&) {
    process::Lock lock;
    process::RLock rlock;
    process::Condition changed;
    std::unique_lock guard{lock, std::defer_lock};
    EXPECT_THROW(changed.wait(guard), InvalidStateError);
    std::unique_lock recursive{rlock, std::defer_lock};
    EXPECT_THROW(changed.wait(recursive), InvalidStateError);
  });
}

TEST(ProcessConditionAmongProcesses, ProducersAndConsumersMeet) {
  constexpr int kItems = 400;
  Parcels way;
  Parcels other_way;
  const InSharedMemory<std::array<std::atomic<int>, 2>> counts;  // items there, items consumed
  std::vector<Child> consumers;
  for (int i = 0; i < 3; ++i) {
    consumers.emplace_back([&] {
      auto lock = way.receive<process::Lock>();
      auto changed = other_way.receive<process::Condition>();
      auto& [there, consumed] = *counts;
      for (;;) {
        std::unique_lock guard{lock};
        changed.wait(guard, [&] { return there != 0; });
        if (there < 0) return true;
        --there;
        ++consumed;
        changed.notify_all();
      }
    });
  }
  process::Lock lock;
  process::Condition changed;
  for (int i = 0; i < 3; ++i) {
    way.send(lock);
    other_way.send(changed);
  }
  auto& [there, consumed] = *counts;
  for (int i = 0; i < kItems; ++i) {
    std::unique_lock guard{lock};
    changed.wait(guard, [&, &there = there] { return there < 3; });
    ++there;
    changed.notify_one();
  }
  std::unique_lock guard{lock};
  changed.wait(guard, [&, &consumed = consumed] { return consumed == kItems; });
  there = -1;
  changed.notify_all();
  guard.unlock();
  for (Child& consumer : consumers) EXPECT_EQ(consumer.join(), 0);
}

TEST(ProcessConditionAmongProcesses, AKilledWaiterTakesNoNotificationThatComesLater) {
  process::Lock lock;
  process::Condition changed;
  const InSharedMemory<std::atomic<int>> waiting;
  const auto wait = [&] {
    std::unique_lock guard{lock};
    ++*waiting;
    changed.wait(guard);
    return true;
  };
  Child killed{wait};
  ASSERT_TRUE(eventually([&] { return *waiting == 1; }));
  { const std::lock_guard guard{lock}; }  // it has let go of the lock: it waits
  killed.kill();
  Child other{wait};
  ASSERT_TRUE(eventually([&] { return *waiting == 2; }));
  { const std::lock_guard guard{lock}; }
  changed.notify_one();
  EXPECT_EQ(other.join(), 0);
  EXPECT_FALSE(lock.owner_died());
}

}  // namespace
}  // namespace weft::test
