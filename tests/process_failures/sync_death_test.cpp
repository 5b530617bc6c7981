#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include <weft/base/error.hpp>
#include <weft/process/barrier.hpp>
#include <weft/process/bounded_semaphore.hpp>
#include <weft/process/condition.hpp>
#include <weft/process/event.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/rlock.hpp>
#include <weft/process/semaphore.hpp>

#include "process/stepped_child.hpp"
#include "process/sync_child.hpp"
#include "support/stress.hpp"

// Locks and their like, one of whose processes is killed at every instruction of an operation. Kills at random: sync_kill_test.cpp.
namespace weft::test {
namespace {

using process::Barrier;
using process::BoundedSemaphore;
using process::Condition;
using process::Event;
using process::Lock;
using process::RLock;
using process::Semaphore;

/// A thread of this process that waits for something.
class Waiter {
 public:
  explicit Waiter(const std::function<void()>& wait)
      : thread_{[this, wait] {
          id_ = ::gettid();
          try {
            wait();
          } catch (const std::exception& error) {
            ADD_FAILURE() << error.what();
          }
          ended_ = true;
        }} {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() { join(); }

  /// Whether it sleeps, which is soon.
  [[nodiscard]] bool soon_sleeps() const {
    return eventually([&] { return id_ != 0; }) && SteppedChild::soon_sleeps(id_);
  }
  /// The program ends when it does not: what it waits with is the test's.
  void join() {
    if (!thread_.joinable()) return;
    if (!eventually([&] { return ended_.load(); })) {
      ADD_FAILURE() << "somebody waits for ever";
      std::abort();
    }
    thread_.join();
  }

 private:
  std::atomic<pid_t> id_{0};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

/// A child is led through `body` and killed there, some instructions later in each round, until it gets to the end, or sleeps.
struct Scene {
  std::function<void()> warm_up = [] {};  // in the child, at full speed
  std::function<void()> begin = [] {};    // here, with the child at the beginning of the body
  std::function<void()> body;
  std::function<void()> end = [] {};      // here, with the child killed
};

/// The first wait of a process starts a thread: no need to be led through that.
void wait_once() { (void)Semaphore{0}.try_acquire_for(1ms); }

bool play(const Scene& scene) {
  int length = 0;
  const auto round = [&](int steps) {
    SteppedChild child{[&] {
                         wait_once();
                         scene.warm_up();
                       },
                       scene.body};
    if (child.state() == SteppedChild::State::NotAllowed) return false;
    scene.begin();
    length = std::max(length, child.step(steps));
    child.kill();
    scene.end();
    return true;
  };
  if (!round(SteppedChild::kMostSteps)) return false;
  const int stride = std::max(1, length / (stressing() ? 500 : 12));
  for (int steps = 0; steps < length && !testing::Test::HasFailure(); steps += stride) {
    EXPECT_TRUE(round(steps));
    if (testing::Test::HasFailure()) ADD_FAILURE() << "killed after " << steps << " of " << length << " instructions";
  }
  return true;
}

class SyncDeath : public testing::Test {
 protected:
  void SetUp() override {
    if (under_thread_sanitizer()) GTEST_SKIP() << "ThreadSanitizer's own code would be led through, too";
  }
};

#define WEFT_PLAY(...) \
  if (!play(__VA_ARGS__)) GTEST_SKIP() << "no tracing here"

template <class L>
void take_and_mend(L& lock) {
  ASSERT_TRUE(lock.try_lock_for(kPatience));
  if (lock.owner_died()) lock.recovered();
  lock.unlock();
}

TEST_F(SyncDeath, OfOneWhoTakesALockOrGivesItBackLeavesItToOthers) {
  Lock lock;
  WEFT_PLAY({.warm_up = [&] { const std::scoped_lock once{lock}; },
             .body = [&] { const std::scoped_lock held{lock}; },
             .end = [&] { take_and_mend(lock); }});
}

TEST_F(SyncDeath, OfOneWhoTakesAnRLockTwiceLeavesItToOthers) {
  RLock lock;
  WEFT_PLAY({.warm_up = [&] { const std::scoped_lock once{lock}; },
             .body =
                 [&] {
                   const std::scoped_lock held{lock};
                   const std::scoped_lock again{lock};
                 },
             .end = [&] { take_and_mend(lock); }});
}

TEST_F(SyncDeath, OfOneWhoGivesALockBackLeavesNobodyAsleepOverIt) {
  Lock lock;
  std::optional<Waiter> waiter;
  WEFT_PLAY({.warm_up = [&] { lock.lock(); },
             .begin =
                 [&] {
                   waiter.emplace([&] { take_and_mend(lock); });
                   ASSERT_TRUE(waiter->soon_sleeps());
                 },
             .body = [&] { lock.unlock(); },
             .end = [&] { waiter.reset(); }});
}

TEST_F(SyncDeath, OfOneWhoWaitsForALockLeavesItToTheOther) {
  Lock lock;
  std::optional<Waiter> waiter;
  WEFT_PLAY({.begin =
                 [&] {
                   lock.lock();
                   waiter.emplace([&] { take_and_mend(lock); });
                   ASSERT_TRUE(waiter->soon_sleeps());
                 },
             .body = [&] { (void)lock.try_lock_for(1h); },
             .end =
                 [&] {
                   lock.unlock();
                   waiter.reset();
                 }});
}

TEST_F(SyncDeath, OfOneWhoReleasesASemaphoreLeavesNobodyAsleepOverThePermit) {
  Semaphore semaphore{0};
  std::optional<Waiter> waiter;
  WEFT_PLAY({.warm_up =
                 [&] {
                   Semaphore other{0};
                   other.release();
                 },
             .begin =
                 [&] {
                   waiter.emplace([&] { semaphore.acquire(); });
                   ASSERT_TRUE(waiter->soon_sleeps());
                 },
             .body = [&] { semaphore.release(); },
             .end =
                 [&] {
                   // Released, and noticed; else it is for us to do.
                   if (semaphore.value() == 0 && !eventually([&] { return semaphore.value() != 0; }, 1ms)) semaphore.release();
                   waiter.reset();
                   while (semaphore.try_acquire()) {
                   }
                 }});
}

/// Somebody is killed as he waits for a permit, of which there is none, beside a waiter of ours, who then gets one.
Scene one_who_acquires(Semaphore& semaphore, std::optional<Waiter>& waiter) {
  return {.begin =
              [&] {
                waiter.emplace([&] { semaphore.acquire(); });
                ASSERT_TRUE(waiter->soon_sleeps());
              },
          .body = [&] { (void)semaphore.try_acquire_for(1h); },
          .end =
              [&] {
                semaphore.release();
                waiter.reset();
                EXPECT_EQ(semaphore.value(), 0u);
              }};
}

TEST_F(SyncDeath, OfOneWhoAcquiresASemaphoreTakesNoMoreThanHisPermit) {
  Semaphore semaphore{0};
  std::optional<Waiter> waiter;
  WEFT_PLAY(one_who_acquires(semaphore, waiter));
}

TEST_F(SyncDeath, OfOneWhoAcquiresFromABoundedSemaphoreTakesNothingWithHim) {
  BoundedSemaphore semaphore{1};
  semaphore.acquire();
  std::optional<Waiter> waiter;
  WEFT_PLAY(one_who_acquires(semaphore, waiter));
  semaphore.release();
  EXPECT_EQ(semaphore.value(), 1u);
}

TEST_F(SyncDeath, OfOneWhoHasOrGivesBackPermitsOfABoundedSemaphoreGivesThemToThoseWhoWait) {
  BoundedSemaphore semaphore{3};
  std::optional<Waiter> waiters[3];
  const auto take_all = [&] {
    for (int i = 0; i < 3; ++i) semaphore.acquire();
  };
  WEFT_PLAY({.warm_up = take_all,
             .begin =
                 [&] {
                   for (std::optional<Waiter>& waiter : waiters) {
                     waiter.emplace([&] { semaphore.acquire(); });
                     ASSERT_TRUE(waiter->soon_sleeps());
                   }
                 },
             .body =
                 [&] {
                   semaphore.release();
                   semaphore.release(2);
                 },
             .end =
                 [&] {
                   for (std::optional<Waiter>& waiter : waiters) waiter.reset();
                   EXPECT_EQ(semaphore.value(), 0u);
                   semaphore.release(3);
                 }});
}

TEST_F(SyncDeath, OfOneWhoSetsAnEventLeavesNobodyAsleepThoughItIsSet) {
  Event event;
  std::optional<Waiter> waiter;
  WEFT_PLAY({.warm_up = [&] { Event{}.set(); },
             .begin =
                 [&] {
                   event.clear();
                   waiter.emplace([&] { event.wait(); });
                   ASSERT_TRUE(waiter->soon_sleeps());
                 },
             .body = [&] { event.set(); },
             .end =
                 [&] {
                   if (!event.is_set()) event.set();
                   waiter.reset();
                 }});
}

/// Waits for one notification, or for none after a death.
void wait_for(Condition& condition, Lock& lock, std::atomic<bool>* has_come = nullptr) {
  std::unique_lock guard{lock};
  if (lock.owner_died()) lock.recovered();
  if (has_come) *has_come = true;
  condition.wait(guard);
}

/// A thread of this process that does; it waits when this returns.
class NotifiedWaiter {
 public:
  NotifiedWaiter(Condition& condition, Lock& lock) : waiter_{[&] { wait_for(condition, lock, &has_come_); }} {
    EXPECT_TRUE(eventually([&] { return has_come_.load(); }));
    take_and_mend(lock);  // which he has given back
  }
  void join() { waiter_.join(); }

 private:
  std::atomic<bool> has_come_{false};
  Waiter waiter_;
};

TEST_F(SyncDeath, OfOneWhoNotifiesLeavesTheConditionToOthers) {
  Lock lock;
  Condition condition;
  std::optional<NotifiedWaiter> waiter;
  WEFT_PLAY({.warm_up = [] { Condition{}.notify_all(); },
             .begin = [&] { waiter.emplace(condition, lock); },
             .body = [&] { condition.notify_one(); },
             .end =
                 [&] {
                   condition.notify_one();
                   waiter.reset();
                 }});
}

TEST_F(SyncDeath, OfOneWhoWaitsForAConditionLeavesTheNotificationToTheOther) {
  Lock lock;
  Condition condition;
  WEFT_PLAY({.body = [&] { wait_for(condition, lock); },
             .end =
                 [&] {
                   NotifiedWaiter waiter{condition, lock};
                   condition.notify_one();
                   waiter.join();
                 }});
}

TEST_F(SyncDeath, OfOneWhoWasNotifiedLeavesTheConditionToOthers) {
  Lock lock;
  Condition condition;
  for (int steps = 0; steps < 3000 && !HasFailure(); steps += stressing() ? 7 : 197) {
    SteppedChild victim{wait_once, [&] { wait_for(condition, lock); }};
    if (victim.state() == SteppedChild::State::NotAllowed) GTEST_SKIP() << "no tracing here";
    victim.step(SteppedChild::kMostSteps);
    ASSERT_EQ(victim.state(), SteppedChild::State::Asleep);
    NotifiedWaiter waiter{condition, lock};
    condition.notify_one();
    victim.step(steps);
    victim.kill();
    condition.notify_one();
    waiter.join();
    if (victim.state() == SteppedChild::State::Finished) break;
  }
}

/// Two contexts that meet, and are not let through before.
void meet(Barrier& barrier) {
  Waiter other{[&] { (void)barrier.wait(); }};
  (void)barrier.wait();
}

/// Through it, or told that it is broken.
void pass(Barrier& barrier) {
  try {
    (void)barrier.wait();
  } catch (const BrokenBarrierError&) {
  }
}

TEST_F(SyncDeath, OfTheLastPartyAtABarrierLeavesNobodyAsleep) {
  Barrier barrier{2};
  std::optional<Waiter> waiter;
  WEFT_PLAY({.begin =
                 [&] {
                   waiter.emplace([&] { pass(barrier); });
                   ASSERT_TRUE(waiter->soon_sleeps());
                 },
             .body = [&] { (void)barrier.wait(); },
             .end =
                 [&] {
                   barrier.reset();
                   waiter.reset();
                   meet(barrier);
                 }});
}

TEST_F(SyncDeath, OfTheFirstPartyAtABarrierBreaksItOrWasNever) {
  Barrier barrier{2};
  WEFT_PLAY({.body = [&] { (void)barrier.wait(); },
             .end =
                 [&] {
                   barrier.reset();
                   meet(barrier);
                 }});
}

TEST_F(SyncDeath, OfOneWhoBreaksABarrierOrResetsItLeavesNobodyAsleep) {
  Barrier barrier{2};
  std::optional<Waiter> waiter;
  for (const bool resets : {false, true}) {
    WEFT_PLAY({.begin =
                   [&] {
                     barrier.reset();
                     waiter.emplace([&] { pass(barrier); });
                     ASSERT_TRUE(waiter->soon_sleeps());
                   },
               .body = [&] { resets ? barrier.reset() : barrier.abort(); },
               .end =
                   [&] {
                     barrier.abort();
                     waiter.reset();
                     barrier.reset();
                     meet(barrier);
                   }});
  }
}

}  // namespace
}  // namespace weft::test
