#include <weft/fiber/spawn.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>

#include "engine/scheduler.hpp"
#include "engine/stack_pool.hpp"
#include "support/stress.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

class SpawnLater : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(SpawnLater);

TEST_P(SpawnLater, StartsWhenTheTimeHasPassed) {
  in_world([](World&) {
    const auto before = Clock::now();
    auto fiber = spawn_later(
        20ms,
        [](int value) {
          return std::pair{value, Clock::now()};
        },
        7);
    EXPECT_FALSE(fiber.done());
    const auto [value, at] = fiber.get();
    EXPECT_EQ(value, 7);
    EXPECT_GE(at - before, 20ms);
  });
}

TEST_P(SpawnLater, EachInItsTimeAndOnOneWorkerInTheirOrder) {
  in_world([](World& world) {
    Lock lock;
    std::vector<int> order;
    std::vector<Fiber<void>> fibers;
    const Stopwatch watch;
    for (const int delay : {60, 20, 40}) {
      fibers.push_back(spawn_later(std::chrono::milliseconds{delay}, [&, delay] {
        EXPECT_GE(watch.elapsed(), std::chrono::milliseconds{delay});
        const std::scoped_lock guard{lock};
        order.push_back(delay);
      }));
    }
    join_all(fibers);
    // A second worker may be without a processor for longer than what lies between two of them.
    if (world.kind().workers != 1) std::ranges::sort(order);
    EXPECT_EQ(order, (std::vector<int>{20, 40, 60}));
  });
}

TEST_P(SpawnLater, AtOnceForNoTimeOrLess) {
  in_world([](World&) {
    EXPECT_EQ(spawn_later(0s, [] { return 1; }).get(), 1);
    EXPECT_EQ(spawn_later(-1h, [] { return 2; }).get(), 2);
  });
}

TEST_P(SpawnLater, KilledBeforeItsStartItEndsAtOnceAndNeverRuns) {
  in_world([](World&) {
    auto held = std::make_shared<int>(1);
    bool ran = false;
    auto fiber = spawn_later(std::chrono::hours::max(), {.name = "never"}, [&ran, held] { ran = true; });
    EXPECT_EQ(fiber.name(), "never");
    EXPECT_FALSE(fiber.join_for(5ms));
    fiber.kill_and_join();
    EXPECT_FALSE(ran);
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_THROW(fiber.get(), CancelledError);
    // Also one that no worker has seen yet.
    auto fresh = spawn_later(24h, [&ran] { ran = true; });
    fresh.kill();
    fresh.join();
    EXPECT_FALSE(ran);
  });
}

TEST_P(SpawnLater, ADroppedHandleDoesNotKeepItFromStarting) {
  in_world([](World&) {
    Event ran;
    spawn_later(5ms, [&] { ran.set(); });
    EXPECT_TRUE(ran.wait_for(kPatience));
  });
}

TEST_P(SpawnLater, KeepsToItsOptions) {
  in_world([](World&) {
    auto fiber = spawn_later(1ms, {.name = "deep", .stack_bytes = 2 * 1024 * 1024}, [] {
      volatile char room[1024 * 1024];
      for (std::size_t i = 0; i < sizeof room; i += 4096) room[i] = 1;
      return static_cast<int>(room[4096]);
    });
    EXPECT_EQ(fiber.name(), "deep");
    EXPECT_EQ(fiber.get(), 1);
  });
}

// Starts and kills at the same moment: it runs, or it does not, but it ends.
TEST_P(SpawnLater, KillsRaceWithStarts) {
  in_world([](World& world) {
    for (int round = 0; round < rounds(200); ++round) {
      std::atomic<int> ran{0};
      std::vector<Fiber<void>> fibers;
      for (int i = 0; i < 8; ++i) {
        fibers.push_back(spawn_later(std::chrono::microseconds{50 * i}, [&ran] { ++ran; }));
      }
      auto killer = world.spawn([&] {
        for (auto& fiber : fibers) {
          yield();
          fiber.kill();
        }
      });
      killer.join();
      int values = 0;
      for (auto& fiber : fibers) {
        fiber.join();
        values += fiber.successful() ? 1 : 0;
      }
      EXPECT_EQ(values, ran);
    }
  });
}

class SpawnLaterPlain : public LeakFree {};

TEST_F(SpawnLaterPlain, ItHoldsNoStackUntilItStarts) {
  Runtime runtime{{.workers = 1}};
  std::vector<Fiber<void>> fibers;
  runtime.run([&] {
    for (int i = 0; i < 1000; ++i) fibers.push_back(spawn_later(24h, [] {}));
    idle();  // a worker has seen them all
    std::size_t bound = 0;
    detail::current_scheduler().for_each_pool(
        [&](detail::StackPool& pool) { pool.for_each_bound([&](detail::FiberContext&) { ++bound; }); });
    EXPECT_LE(bound, 2u);
    kill_all(fibers);
    join_all(fibers);
  });
}

TEST_F(SpawnLaterPlain, ARuntimeThatEndsDoesNotWaitForTheirTime) {
  for (const unsigned workers : {1U, 2U, 4U}) {
    std::vector<Fiber<void>> fibers;
    auto held = std::make_shared<int>(1);
    {
      Runtime runtime{{.workers = workers, .name = "test"}};
      runtime.run([&] {
        for (int i = 0; i < 100; ++i)
          fibers.push_back(spawn_later(24h, [held] { ADD_FAILURE() << "it ran"; }));
      });
      for (int i = 0; i < 100; ++i)
        fibers.push_back(runtime.spawn_later(24h, [held] { ADD_FAILURE() << "it ran"; }));
      if (workers > 1) {
        Event seen;
        runtime.spawn([&] { seen.set(); });
        ASSERT_TRUE(seen.wait_for(kPatience));
      }
    }
    EXPECT_EQ(held.use_count(), 1);
    for (auto& fiber : fibers) EXPECT_THROW(fiber.get(), CancelledError);
  }
}

TEST_F(SpawnLaterPlain, InADrivenRuntimeItStartsWhileSomebodyRunsIt) {
  Runtime runtime{{.workers = 1}};
  auto fiber = runtime.spawn_later(1ms, [] { return 5; });
  EXPECT_FALSE(fiber.join_for(20ms));
  runtime.run([&] { fiber.join(); });
  EXPECT_EQ(fiber.get(), 5);
}

TEST_F(SpawnLaterPlain, ManyFromManyThreads) {
  Runtime runtime{{.workers = 4, .name = "test"}};
  std::atomic<int> ran{0};
  std::vector<Fiber<void>> fibers;
  const int count = rounds(5000);
  for (int i = 0; i < count; ++i) {
    fibers.push_back(runtime.spawn_later(std::chrono::microseconds{(i * 7919) % 10000}, [&] { ++ran; }));
  }
  join_all(fibers);
  EXPECT_EQ(ran, count);
}

// ---- idle()
// ----------------------------------------------------------------------------------------------------------

TEST_F(SpawnLaterPlain, IdleWaitsUntilNothingElseCanRun) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    std::vector<int> order;
    auto worker = spawn([&] {
      for (int i = 0; i < 200; ++i) yield();
      order.push_back(1);
    });
    auto idler = spawn([&] {
      idle();
      order.push_back(2);
    });
    idle();
    EXPECT_EQ(order.at(0), 1);
    EXPECT_TRUE(worker.done());
    idler.join();
    EXPECT_EQ(order.back(), 2);
  });
}

class Idle : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(Idle);

TEST_P(Idle, ReturnsWhenOthersOnlyWait) {
  in_world([](World& world) {
    Event never;
    auto waiting = world.spawn([&] { never.wait(); });
    for (int i = 0; i < 100; ++i) idle();
    auto idlers = world.spawn_many(10, [](int) {
      for (int i = 0; i < 20; ++i) idle();
    });
    join_all(idlers);
    never.set();
    waiting.join();
  });
}

TEST_P(Idle, CanBeKilledWhileSomethingRuns) {
  in_world([](World& world) {
    std::atomic<bool> stop{false};
    auto busy = world.spawn_many(8, [&](int) {
      while (!stop) yield();
    });
    auto idler = spawn([] {
      for (;;) idle();
    });
    idler.kill();
    idler.join();
    EXPECT_THROW(idler.get(), CancelledError);
    stop = true;
    join_all(busy);
  });
}

}  // namespace
}  // namespace weft::test
