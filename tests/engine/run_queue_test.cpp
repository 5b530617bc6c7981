#include "engine/run_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <thread>
#include <vector>

#include "dummy_task.hpp"
#include "support/eventually.hpp"
#include "support/stress.hpp"

namespace weft::detail {
namespace {

using test::DummyTask;
using test::Random;
using test::rounds;

constexpr std::uint32_t kCapacity = RunRing::kCapacity;

TEST(RunRing, GivesBackInTheOrderOfPushesUpToItsCapacity) {
  for (const bool solo : {true, false}) {
    RunRing ring{solo};
    std::deque<DummyTask> tasks(kCapacity + 1);
    EXPECT_EQ(ring.pop(), nullptr);
    // From several starting points, so that every slot is once the first.
    for (int turn = 0; turn < 5; ++turn) {
      for (std::uint32_t i = 0; i < kCapacity; ++i) ASSERT_TRUE(ring.push(&tasks[i]));
      EXPECT_FALSE(ring.push(&tasks[kCapacity]));
      EXPECT_EQ(ring.size(), kCapacity);
      for (std::uint32_t i = 0; i < kCapacity; ++i) ASSERT_EQ(ring.pop(), &tasks[i]);
      EXPECT_EQ(ring.pop(), nullptr);
      EXPECT_EQ(ring.size(), 0u);
      ASSERT_TRUE(ring.push(&tasks[0]));
      ASSERT_EQ(ring.pop(), &tasks[0]);
    }
  }
}

TEST(RunRing, ThiefTakesTheOlderHalfAndLeavesTheLast) {
  std::deque<DummyTask> tasks(10);
  for (const std::uint32_t count : {0u, 1u, 2u, 3u, 10u}) {
    for (const bool even_last : {false, true}) {
      RunRing ring{false};
      RunRing mine{false};
      for (std::uint32_t i = 0; i < count; ++i) ASSERT_TRUE(ring.push(&tasks[i]));
      const std::uint32_t expected = even_last ? (count + 1) / 2 : count / 2;
      EXPECT_EQ(ring.steal_into(mine, even_last), expected);
      for (std::uint32_t i = 0; i < expected; ++i) EXPECT_EQ(mine.pop(), &tasks[i]);
      EXPECT_EQ(mine.pop(), nullptr);
      for (std::uint32_t i = expected; i < count; ++i) EXPECT_EQ(ring.pop(), &tasks[i]);
    }
  }
}

// Random operations of owner and thief, one after the other, against two deques.
TEST(RunRing, BehavesAsANaiveModel) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random{seed};
    RunRing ring{false};
    RunRing mine{false};
    std::deque<Task*> model;
    std::deque<Task*> my_model;
    std::deque<DummyTask> tasks(3000);
    std::size_t next = 0;
    for (int step = 0; step < 5000; ++step) {
      switch (random.below(seed % 2 ? 5 : 8)) {
        case 0: {
          ASSERT_EQ(ring.pop(), model.empty() ? nullptr : model.front());
          if (!model.empty()) model.pop_front();
          break;
        }
        case 1: {
          while (!my_model.empty()) {
            ASSERT_EQ(mine.pop(), my_model.front());
            my_model.pop_front();
          }
          ASSERT_EQ(mine.pop(), nullptr);
          const bool even_last = random.below(2) == 0;
          const std::size_t expected = even_last ? (model.size() + 1) / 2 : model.size() / 2;
          ASSERT_EQ(ring.steal_into(mine, even_last), expected);
          my_model.assign(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(expected));
          model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(expected));
          break;
        }
        default: {
          Task* task = &tasks[next++ % tasks.size()];
          ASSERT_EQ(ring.push(task), model.size() < kCapacity);
          if (model.size() < kCapacity) model.push_back(task);
        }
      }
      ASSERT_EQ(ring.size(), model.size());
    }
  }
}

TEST(RunRing, ThievesLoseAndDoubleNothing) {
  const int count = rounds(300'000);
  std::deque<DummyTask> tasks(static_cast<std::size_t>(count));
  RunRing ring{false};
  std::atomic<bool> over{false};
  std::atomic<int> taken{0};
  const auto take = [&](Task* task) {
    static_cast<DummyTask*>(task)->seen.fetch_add(1, std::memory_order_relaxed);
    taken.fetch_add(1, std::memory_order_relaxed);
  };
  std::vector<std::thread> thieves;
  for (int t = 0; t < 2; ++t) {
    thieves.emplace_back([&, t] {
      RunRing mine{false};
      Random random{static_cast<std::uint64_t>(t) + 1};
      while (!over.load(std::memory_order_acquire)) {
        if (ring.steal_into(mine, random.below(2) == 0) == 0) std::this_thread::yield();
        while (Task* task = mine.pop()) take(task);
      }
    });
  }
  Random random{99};
  for (int i = 0; i < count;) {
    // Bursts, so that the ring is sometimes full and often nearly empty.
    for (std::uint32_t burst = random.below(300); burst > 0 && i < count; --burst) {
      if (!ring.push(&tasks[static_cast<std::size_t>(i)])) break;
      ++i;
    }
    for (std::uint32_t burst = random.below(200); burst > 0; --burst) {
      Task* task = ring.pop();
      if (!task) break;
      take(task);
    }
  }
  while (Task* task = ring.pop()) take(task);
  EXPECT_TRUE(test::eventually([&] { return taken.load() >= count; }));
  over.store(true, std::memory_order_release);
  for (auto& thief : thieves) thief.join();
  for (const DummyTask& task : tasks) ASSERT_EQ(task.seen, 1);
}

TEST(GlobalQueue, GivesBackInOrderAndAtMostSoMany) {
  GlobalQueue queue;
  std::deque<DummyTask> tasks(6);
  EXPECT_EQ(queue.pop(3).first, nullptr);
  TaskChain chain;
  for (int i = 0; i < 4; ++i) chain.push_back(tasks[static_cast<std::size_t>(i)]);
  queue.push(chain);
  queue.push(TaskChain{});
  TaskChain more;
  more.push_back(tasks[4]);
  more.push_back(tasks[5]);
  queue.push(more);
  EXPECT_EQ(queue.size(), 6u);
  TaskChain taken = queue.pop(5);
  EXPECT_EQ(taken.count, 5u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(taken.pop_front(), &tasks[static_cast<std::size_t>(i)]);
  EXPECT_EQ(taken.pop_front(), nullptr);
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(queue.pop(5).pop_front(), &tasks[5]);
  EXPECT_EQ(queue.size(), 0u);
}

TEST(GlobalQueue, LosesAndDoublesNothingAmongThreads) {
  const int count = rounds(20'000);
  GlobalQueue queue;
  std::deque<DummyTask> tasks(static_cast<std::size_t>(3 * count));
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < count; ++i) {
        TaskChain chain;
        chain.push_back(tasks[static_cast<std::size_t>(t * count + i)]);
        queue.push(chain);
        TaskChain some = queue.pop(i % 3 == 0 ? 2 : 1);
        while (Task* task = some.pop_front()) {
          static_cast<DummyTask*>(task)->seen.fetch_add(1);
          ++taken;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  TaskChain rest = queue.pop(UINT32_MAX);
  while (Task* task = rest.pop_front()) {
    static_cast<DummyTask*>(task)->seen.fetch_add(1);
    ++taken;
  }
  EXPECT_EQ(taken, 3 * count);
  for (const DummyTask& task : tasks) ASSERT_EQ(task.seen, 1);
}

TEST(Inbox, OldestComesFirstBehindWhatWasTakenBefore) {
  Inbox inbox;
  std::deque<DummyTask> tasks(5);
  TaskChain chain;
  inbox.move_to(chain);
  EXPECT_EQ(chain.first, nullptr);
  EXPECT_TRUE(inbox.push(tasks[0]));
  EXPECT_FALSE(inbox.push(tasks[1]));
  inbox.move_to(chain);
  EXPECT_TRUE(inbox.empty());
  for (int i = 2; i < 5; ++i) EXPECT_EQ(inbox.push(tasks[i]), i == 2);
  inbox.move_to(chain);
  EXPECT_EQ(chain.count, 5u);
  for (DummyTask& task : tasks) EXPECT_EQ(chain.pop_front(), &task);
}

TEST(Inbox, NothingIsLostOrDoubledWhilePushersRaceWithTheOwner) {
  constexpr int kPushers = 3;
  const int each = rounds(20'000);
  Inbox inbox;
  std::deque<DummyTask> tasks(static_cast<std::size_t>(kPushers * each));
  std::vector<std::thread> pushers;
  for (int p = 0; p < kPushers; ++p) {
    pushers.emplace_back([&, p] {
      for (int i = 0; i < each; ++i) (void)inbox.push(tasks[static_cast<std::size_t>(p * each + i)]);
    });
  }
  TaskChain chain;
  const bool all = test::eventually([&] {
    inbox.move_to(chain);
    while (Task* task = chain.pop_front()) {
      auto& dummy = static_cast<DummyTask&>(*task);
      EXPECT_EQ(dummy.seen++, 0);
    }
    return std::all_of(tasks.begin(), tasks.end(), [](const DummyTask& task) { return task.seen == 1; });
  });
  for (std::thread& pusher : pushers) pusher.join();
  EXPECT_TRUE(all);
}

}  // namespace
}  // namespace weft::detail
