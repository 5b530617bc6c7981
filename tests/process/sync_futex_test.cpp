#include "process/sync/shared_futex.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/sync/scope.hpp>

#include "port/futex.hpp"
#include "stepped_child.hpp"
#include "support/world.hpp"
#include "sync_child.hpp"

namespace weft::test {
namespace {

using detail::Interruptible;
using detail::WaitKind;
using process::detail::kWakeAll;
using process::detail::Look;
using process::detail::shared_wait;
using process::detail::shared_wake;
using Word = std::atomic<std::uint32_t>;

const detail::Wait kRecord{.kind = WaitKind::Event, .outside = true};

/// Until the word is not `expected`. Throws what interrupts it; false: not before the deadline.
bool wait_while(const Word& word, std::uint32_t expected, Deadline deadline = Deadline::never(), Look look = {}) {
  while (word == expected) {
    const detail::Outcome outcome = shared_wait(word, expected, kRecord, deadline, Interruptible::Yes, look);
    if (outcome == detail::kInterrupted) detail::throw_interruption();
    if (outcome == detail::kTimedOut) return word != expected;
  }
  return true;
}

class SharedFutex : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(SharedFutex);

TEST_P(SharedFutex, AWaitEndsWhenTheWordIsChangedAndWoken) {
  in_world([](World& world) {
    const InSharedMemory<Word> word;
    auto waiters = world.spawn_many(5, [&](int) { EXPECT_TRUE(wait_while(*word, 0)); });
    EXPECT_TRUE(soon_all_wait_in(waiters, WaitKind::Event));
    *word = 1;
    shared_wake(*word, kWakeAll);
    join_all(waiters);
  });
}

TEST_P(SharedFutex, AWaitForAWordThatDiffersDoesNotBlock) {
  in_world([](World&) {
    const InSharedMemory<Word> word;
    EXPECT_EQ(shared_wait(*word, 7, kRecord, Deadline::never(), Interruptible::Yes), detail::kFired);
  });
}

TEST_P(SharedFutex, AChangeThatNobodyTellsOfIsNoticedAllTheSame) {
  in_world([](World& world) {
    const InSharedMemory<Word> word;
    auto waiters = world.spawn_many(3, [&](int) { EXPECT_TRUE(wait_while(*word, 0)); });
    EXPECT_TRUE(soon_all_wait_in(waiters, WaitKind::Event));
    *word = 1;
    join_all(waiters);
  });
}

TEST_P(SharedFutex, ADeadlineEndsAWait) {
  in_world([](World&) {
    const InSharedMemory<Word> word;
    const Stopwatch watch;
    EXPECT_FALSE(wait_while(*word, 0, Deadline::after(20ms)));
    EXPECT_GE(watch.elapsed(), 20ms);
    EXPECT_FALSE(wait_while(*word, 0, Deadline::already()));
    const DeadlineScope scope{10ms};
    EXPECT_THROW((void)wait_while(*word, 0), TimeoutError);
  });
}

TEST_P(SharedFutex, AKillEndsAWait) {
  in_world([](World& world) {
    const InSharedMemory<Word> word;
    Runner waiter = world.spawn([&] { (void)wait_while(*word, 0); });
    EXPECT_TRUE(waiter.soon_waits_in(WaitKind::Event));
    waiter.kill();
    EXPECT_EQ(waiter.join(), Ending::Cancelled);
  });
}

TEST_P(SharedFutex, AWakeUpThatComesWithAKillIsPassedOn) {
  in_world([](World& world) {
    for (int round = 0; round < 20; ++round) {
      const InSharedMemory<Word> word;
      std::atomic<int> through{0};
      const auto take_one = [&](int) {
        for (;;) {
          std::uint32_t left = *word;
          while (left != 0) {
            if (word->compare_exchange_weak(left, left - 1)) {
              ++through;
              return;
            }
          }
          (void)wait_while(*word, 0);
        }
      };
      auto waiters = world.spawn_many(2, take_one);
      EXPECT_TRUE(soon_all_wait_in(waiters, WaitKind::Event));
      *word = 1;
      waiters[0].kill();
      shared_wake(*word, 1);
      EXPECT_TRUE(eventually([&] { return through == 1 && (waiters[0].done() || waiters[1].done()); }));
      waiters[1].kill();
      join_all(waiters);
    }
  });
}

TEST_P(SharedFutex, ManyWordsAreWaitedForAtATime) {
  in_world([](World& world) {
    constexpr int kWords = 300;  // more than the kernel takes in one call
    const InSharedMemory<std::array<Word, kWords>> words;
    std::atomic<int> through{0};
    auto waiters = world.spawn_many(kWords, [&](int i) {
      EXPECT_TRUE(wait_while((*words)[i], 0));
      ++through;
    });
    EXPECT_TRUE(soon_all_wait_in(waiters, WaitKind::Event));
    for (int i = kWords - 1; i >= 0; --i) {
      (*words)[i] = 1;
      shared_wake((*words)[i], 1);
    }
    join_all(waiters);
    EXPECT_EQ(through, kWords);
  });
}

TEST_P(SharedFutex, ALookThatSaysSoEndsTheWait) {
  in_world([](World& world) {
    const InSharedMemory<Word> word;
    std::atomic<bool> seen{false};
    Runner waiter = world.spawn([&] {
      const Look look{[](void* flag) noexcept { return static_cast<std::atomic<bool>*>(flag)->load(); }, &seen};
      EXPECT_EQ(shared_wait(*word, 0, kRecord, Deadline::never(), Interruptible::Yes, look), detail::kFired);
    });
    EXPECT_TRUE(waiter.soon_waits_in(WaitKind::Event));
    seen = true;
    EXPECT_EQ(waiter.join(), Ending::Returned);
  });
}

TEST_P(SharedFutex, ManyWhoWaitForOneObjectAreLookedForOnce) {
  in_world([](World& world) {
    struct Object {
      std::atomic<int> looks{0};
      static bool count(void* object) noexcept {
        ++static_cast<Object*>(object)->looks;
        return false;
      }
    };
    const InSharedMemory<Word> word;
    Object for_many, for_one;
    auto many = world.spawn_many(20, [&](int) { EXPECT_TRUE(wait_while(*word, 0, Deadline::never(), {&Object::count, &for_many})); });
    EXPECT_TRUE(soon_all_wait_in(many, WaitKind::Event));
    Runner one = world.spawn([&] { EXPECT_TRUE(wait_while(*word, 0, Deadline::never(), {&Object::count, &for_one})); });
    EXPECT_TRUE(eventually([&] { return for_one.looks >= 1; }));
    const int before = for_one.looks;
    for_many.looks = 0;
    EXPECT_TRUE(eventually([&] { return for_one.looks >= before + 3; }));
    const int looks = for_many.looks;
    EXPECT_LE(looks, for_one.looks - before + 1);
    *word = 1;
    shared_wake(*word, kWakeAll);
    join_all(many);
    one.join();
  });
}

TEST_P(SharedFutex, ContextsOfTwoProcessesPassATurnBackAndForth) {
  in_world([](World& world) {
    constexpr std::uint32_t kTurns = 400;
    const InSharedMemory<Word> turn;
    const auto play = [&](std::uint32_t mine) {
      for (std::uint32_t next = mine; next < kTurns; next += 2) {
        for (std::uint32_t seen = *turn; seen != next; seen = *turn) (void)wait_while(*turn, seen);
        ++*turn;
        shared_wake(*turn, 1);
      }
    };
    Child other{[&] {
      play(1);
      return true;
    }};
    Runner here = world.spawn([&] { play(0); });
    here.join();
    EXPECT_EQ(other.join(), 0);
    EXPECT_EQ(*turn, kTurns);
  });
}

TEST(SharedFutexAndFibers, AFiberThatWaitsLeavesItsWorkerToOthers) {
  const InSharedMemory<Word> word;
  Runtime runtime{{.workers = 1}};
  runtime.run([&] {
    auto waiter = spawn([&] { (void)wait_while(*word, 0); });
    for (int i = 0; i < 100; ++i) yield();
    auto setter = spawn([&] {
      *word = 1;
      shared_wake(*word, 1);
    });
    EXPECT_TRUE(waiter.join_for(kPatience));
    setter.join();
  });
}

// The thread that watches the word for fibers sleeps on, though the only one has left; it is the first in the kernel's line.
TEST(SharedFutexAndFibers, AFiberThatGaveUpTakesNoWakeUpOfAnotherProcess) {
  const InSharedMemory<Word> word;
  Runtime runtime{{.workers = 1}};
  runtime.run([&] { EXPECT_FALSE(wait_while(*word, 0, Deadline::after(20ms))); });
  // Waits without anybody who looks after it.
  Child other{[&] { return port::futex_wait_shared(port::futex_word(*word), 0, Deadline::after(kPatience)) == 0; }};
  ASSERT_TRUE(SteppedChild::soon_sleeps(other.pid()));
  *word = 1;
  shared_wake(*word, 1);
  EXPECT_EQ(other.join(), 0);
}

TEST(SharedFutexAndFork, AChildOfAWaitingProcessWaitsOnItsOwn) {
  const InSharedMemory<Word> word;
  Runtime runtime{{.workers = 2}};
  auto on_fiber = runtime.spawn([&] { (void)wait_while(*word, 0); });
  std::thread on_thread{[&] { (void)wait_while(*word, 0); }};
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) {
    children.emplace_back([&] {
      auto fiber = spawn([&] { (void)wait_while(*word, 0); });
      (void)wait_while(*word, 0);
      return fiber.join_for(kPatience);
    });
  }
  sleep_for(20ms);
  *word = 1;
  shared_wake(*word, kWakeAll);
  for (Child& child : children) EXPECT_EQ(child.join(), 0);
  on_thread.join();
  EXPECT_TRUE(on_fiber.join_for(kPatience));
}

TEST(ProcessStamp, IsOfOneProcessOnly) {
  const auto mine = process::detail::this_process_stamp();
  EXPECT_EQ(process::detail::pid_of(mine), ::getpid());
  EXPECT_EQ(mine & 7, 0u);
  EXPECT_FALSE(process::detail::process_is_gone(mine));
  const InSharedMemory<std::atomic<std::uint64_t>> childs;
  Child child{[&] {
    *childs = process::detail::this_process_stamp();
    for (;;) ::pause();
    return false;
  }};
  ASSERT_TRUE(eventually([&] { return *childs != 0; }));
  EXPECT_EQ(process::detail::pid_of(*childs), child.pid());
  EXPECT_FALSE(process::detail::process_is_gone(*childs));
  // Another one of the same number, that began at another time.
  EXPECT_TRUE(process::detail::process_is_gone(*childs + (std::uint64_t{1} << process::detail::kStampStartShift)));
  child.kill_unreaped();
  EXPECT_TRUE(process::detail::process_is_gone(*childs));
  EXPECT_EQ(child.kill(), 128 + SIGKILL);
  EXPECT_TRUE(process::detail::process_is_gone(*childs));
}

}  // namespace
}  // namespace weft::test
