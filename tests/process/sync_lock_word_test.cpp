#include "process/sync/shared_lock.hpp"

#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

#include "support/world.hpp"
#include "sync_child.hpp"

namespace weft::test {
namespace {

using detail::Interruptible;
using process::detail::SharedGuard;
using process::detail::SharedLockWord;

constexpr SharedLockWord::Described kPlain{};

struct Guarded {
  SharedLockWord lock;
  std::atomic<int> inside{0};
  std::atomic<int> entered{0};
  std::atomic<bool> broken{false};
  std::atomic<bool> stop{false};

  // Any two inside at once break it. A dead one leaves its 1 behind: whoever is told takes it back.
  void pass() {
    lock.lock(kPlain);
    if (lock.owner_died()) {
      inside = 0;
      lock.recovered();
    }
    if (inside.fetch_add(1) != 0) broken = true;
    ++entered;
    inside.fetch_sub(1);
    if (!lock.unlock()) broken = true;
  }
};

[[noreturn]] void hold_for_ever() {
  for (;;) ::pause();
}

TEST(SharedLockWord, ExcludesContextsOfSeveralProcesses) {
  constexpr int kEach = 3000;
  const InSharedMemory<Guarded> guarded;
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) {
    children.emplace_back([&] {
      std::thread other{[&] {
        for (int j = 0; j < kEach; ++j) guarded->pass();
      }};
      auto fiber = spawn([&] {
        for (int j = 0; j < kEach; ++j) guarded->pass();
      });
      fiber.join();
      other.join();
      return true;
    });
  }
  for (Child& child : children) EXPECT_EQ(child.join(), 0);
  EXPECT_FALSE(guarded->broken);
  EXPECT_EQ(guarded->entered, 3 * 2 * kEach);
  EXPECT_FALSE(guarded->lock.locked());
}

TEST(SharedLockWord, WhoeverWaitsForADeadOwnerTakesItAndIsTold) {
  const InSharedMemory<Guarded> guarded;
  Child owner{[&] {
    guarded->lock.lock(kPlain);
    guarded->entered = 1;
    hold_for_ever();
    return false;
  }};
  ASSERT_TRUE(eventually([&] { return guarded->entered == 1; }));
  std::thread waiter{[&] {
    guarded->lock.lock(kPlain);
    EXPECT_TRUE(guarded->lock.owner_died());
    guarded->lock.recovered();
    EXPECT_TRUE(guarded->lock.unlock());
  }};
  EXPECT_FALSE(guarded->lock.lock_until(Deadline::after(150ms), Interruptible::Yes, kPlain));
  owner.kill_unreaped();
  waiter.join();
  EXPECT_TRUE(guarded->lock.try_lock());
  EXPECT_FALSE(guarded->lock.owner_died());
  EXPECT_TRUE(guarded->lock.unlock());
}

TEST(SharedLockWord, WhoeverOnlyTriesFindsTheDeadOwnerToo) {
  const InSharedMemory<Guarded> guarded;
  Child owner{[&] { return guarded->lock.try_lock(); }};
  EXPECT_EQ(owner.join(), 0);
  EXPECT_TRUE(eventually([&] { return guarded->lock.try_lock(); }));
  EXPECT_TRUE(guarded->lock.owner_died());
  EXPECT_TRUE(guarded->lock.unlock());
  EXPECT_FALSE(guarded->lock.unlock());
}

TEST(SharedLockWord, TheNewsOfADeathStayUntilSomebodyHasRecovered) {
  const InSharedMemory<Guarded> guarded;
  Child owner{[&] { return guarded->lock.try_lock(); }};
  EXPECT_EQ(owner.join(), 0);
  guarded->lock.lock(kPlain);
  EXPECT_TRUE(guarded->lock.unlock());
  guarded->lock.lock(kPlain);
  EXPECT_TRUE(guarded->lock.owner_died());
  guarded->lock.recovered();
  EXPECT_TRUE(guarded->lock.unlock());
  EXPECT_TRUE(guarded->lock.try_lock());
  EXPECT_FALSE(guarded->lock.owner_died());
  EXPECT_TRUE(guarded->lock.unlock());
}

TEST(SharedLockWord, AHeldOneBelongsToTheProcessThatTookItNotToItsChild) {
  const InSharedMemory<Guarded> guarded;
  guarded->lock.lock(kPlain);
  Child child{[&] { return !guarded->lock.held_by_caller() && !guarded->lock.try_lock(); }};
  EXPECT_EQ(child.join(), 0);
  EXPECT_TRUE(guarded->lock.held_by_caller());
  EXPECT_FALSE(guarded->lock.owner_died());
  EXPECT_TRUE(guarded->lock.unlock());
}

TEST(SharedLockWord, KillsAtRandomStrandNobody) {
  const InSharedMemory<Guarded> guarded;
  const auto run = [&] {
    auto fiber = spawn([&] {
      while (!guarded->stop) guarded->pass();
    });
    while (!guarded->stop) guarded->pass();
    fiber.join();
    return true;
  };
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) children.emplace_back(run);
  std::mt19937 random{20261126};
  const Deadline end = Deadline::after(3s);
  for (int kills = 0; !end.has_passed(); ++kills) {
    sleep_for(std::chrono::microseconds{random() % 20000});
    const int before = guarded->entered;
    children[kills % children.size()] = Child{run};  // the former one is killed
    ASSERT_TRUE(eventually([&] { return guarded->entered > before + 10; })) << "after " << kills << " kills";
  }
  guarded->stop = true;
  for (Child& child : children) EXPECT_EQ(child.join(), 0);
  EXPECT_FALSE(guarded->broken);
}

}  // namespace
}  // namespace weft::test
