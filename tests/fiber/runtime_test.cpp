#include <weft/fiber/runtime.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <thread>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/event.hpp>

#include "support/eventually.hpp"
#include "support/leaks.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

class RuntimeTest : public LeakFree {};

TEST_F(RuntimeTest, WithOneWorkerRunsOnTheCallingThread) {
  Runtime runtime{{.workers = 1}};
  EXPECT_EQ(runtime.workers(), 1u);
  const int before = count_threads();
  const int here = ::gettid();
  EXPECT_EQ(runtime.run([] { return ::gettid(); }), here);
  EXPECT_EQ(count_threads(), before);
}

TEST_F(RuntimeTest, WithSeveralWorkersRunsOnThreadsOfItsOwn) {
  Runtime runtime{{.workers = 2, .name = "test"}};
  EXPECT_EQ(runtime.workers(), 2u);
  EXPECT_NE(runtime.run([] { return ::gettid(); }), ::gettid());
}

TEST_F(RuntimeTest, RunGivesTheValueOrThrowsWhatWasThrown) {
  for (const unsigned workers : {1u, 2u}) {
    Runtime runtime{{.workers = workers, .name = "test"}};
    EXPECT_EQ(runtime.run([](int a, int b) { return a + b; }, 40, 2), 42);
    EXPECT_THROW(runtime.run([] { throw std::out_of_range{"x"}; }), std::out_of_range);
    runtime.run([] {});
  }
}

TEST_F(RuntimeTest, RefusesImpossibleNumbersOfWorkers) {
  EXPECT_THROW(Runtime({.workers = 65}), Error);
  EXPECT_GE(Runtime({.name = "test"}).workers(), 1u);
}

TEST_F(RuntimeTest, FibersLeftOverWaitForTheNextRun) {
  Runtime runtime{{.workers = 1}};
  int steps = 0;
  Event go;
  runtime.run([&] {
    spawn([&] {
      ++steps;
      go.wait();
      ++steps;
    });
    yield();
  });
  EXPECT_EQ(steps, 1);
  go.set();
  EXPECT_EQ(steps, 1);  // nobody runs it
  runtime.run([] { yield(); });
  EXPECT_EQ(steps, 2);
}

TEST_F(RuntimeTest, ThreadsTakeTurnsAtDrivingOneWorker) {
  Runtime runtime{{.workers = 1}};
  std::atomic<int> inside{0};
  std::atomic<int> runs{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        runtime.run([&] {
          EXPECT_EQ(++inside, 1);  // never two at once
          --inside;
          if (i % 3 == 0) yield();
          if (i % 7 == 0) sleep_for(100us);
          EXPECT_EQ(++inside, 1);
          --inside;
          ++runs;
        });
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(runs, 200);
}

TEST_F(RuntimeTest, RunInsideAFiberOfTheSameRuntimeIsAnOrdinaryCall) {
  for (const unsigned workers : {1u, 2u}) {
    Runtime runtime{{.workers = workers, .name = "test"}};
    EXPECT_EQ(runtime.run([&] { return runtime.run([&] { return runtime.run([] { return 7; }); }); }), 7);
  }
}

TEST_F(RuntimeTest, NestsInFibersOfOtherRuntimes) {
  for (const unsigned outer_workers : {1u, 2u}) {
    for (const unsigned inner_workers : {1u, 2u}) {
      Runtime outer{{.workers = outer_workers, .name = "test"}};
      std::atomic<int> others{0};
      const int result = outer.run([&] {
        auto other = spawn([&] {
          for (int i = 0; i < 10; ++i) {
            sleep_for(200us);
            ++others;
          }
        });
        Runtime inner{{.workers = inner_workers, .name = "test"}};
        const int value = inner.run([] {
          auto child = spawn([] {
            sleep_for(3ms);
            return 20;
          });
          return child.get() + 1;
        });
        other.join();
        return 2 * value;
      });
      EXPECT_EQ(result, 42);
      EXPECT_EQ(others, 10);
    }
  }
}

TEST_F(RuntimeTest, WakesFibersOfEachOther) {
  Runtime a{{.workers = 2, .name = "test"}};
  Runtime b{{.workers = 2, .name = "test"}};
  Event ping;
  Event pong;
  int hits = 0;
  auto first = a.spawn([&] {
    for (int i = 0; i < 300; ++i) {
      ping.wait();
      ping.clear();
      ++hits;
      pong.set();
    }
  });
  auto second = b.spawn([&] {
    for (int i = 0; i < 300; ++i) {
      ++hits;
      ping.set();
      pong.wait();
      pong.clear();
    }
  });
  EXPECT_TRUE(first.join_for(kPatience));
  EXPECT_TRUE(second.join_for(kPatience));
  EXPECT_EQ(hits, 600);
}

TEST_F(RuntimeTest, DestructorKillsWhatIsLeftAndWaitsForItsEnd) {
  for (const unsigned workers : {1u, 2u, 4u}) {
    std::atomic<int> begun{0};
    std::atomic<int> unwound{0};
    std::atomic<int> never_begun{0};
    struct Mark {
      std::atomic<int>& count;
      ~Mark() {
        sleep_for(1ms);  // unwinding may take its time
        ++count;
      }
    };
    std::vector<Fiber<void>> late;
    {
      Event never;  // outlives the runtime, whose end lets go of those who wait for it
      Runtime runtime{{.workers = workers, .name = "test"}};
      runtime.run([&] {
        for (int i = 0; i < 20; ++i) {
          spawn([&, i] {
            const Mark mark{unwound};
            ++begun;
            if (i % 2 == 0) {
              never.wait();
            } else {
              sleep_for(24h);
            }
          });
        }
        ASSERT_TRUE(eventually([&] { return begun == 20; }));
      });
      if (workers == 1) late.push_back(runtime.spawn([&] { ++never_begun; }));
    }
    EXPECT_EQ(unwound, 20);
    EXPECT_EQ(never_begun, 0);
    for (auto& fiber : late) {
      EXPECT_TRUE(fiber.done());
      EXPECT_THROW(fiber.get(), CancelledError);
    }
  }
}

TEST_F(RuntimeTest, DestructorInsistsWhenAFiberSwallowsCancelledOnce) {
  Runtime* runtime = new Runtime{{.workers = 2, .name = "test"}};
  std::atomic<bool> waiting{false};
  std::atomic<int> caught{0};
  auto stubborn = runtime->spawn([&] {
    for (int i = 0; i < 3; ++i) {
      try {
        waiting = true;
        sleep_for(24h);
      } catch (const Cancelled&) {
        ++caught;
      }
    }
  });
  ASSERT_TRUE(eventually([&] { return waiting.load(); }));
  delete runtime;
  EXPECT_EQ(caught, 3);
  EXPECT_TRUE(stubborn.done());
}

TEST_F(RuntimeTest, HandlesOutliveTheirRuntime) {
  Fiber<std::unique_ptr<int>> fiber;
  {
    Runtime runtime{{.workers = 2, .name = "test"}};
    fiber = runtime.spawn([] { return std::make_unique<int>(42); });
    fiber.join();
  }
  EXPECT_EQ(*fiber.get(), 42);
}

TEST_F(RuntimeTest, ComesAndGoesWithoutALeak) {
  const auto life = [] {
    Runtime runtime{{.workers = 3, .name = "test"}};
    runtime.run([] {
      auto child = spawn([] { sleep_for(10us); });
      child.join();
    });
  };
  life();  // what is made once
  const int threads = count_threads();
  const int descriptors = count_descriptors();
  for (int i = 0; i < rounds(200); ++i) life();
  EXPECT_TRUE(eventually([&] { return count_threads() <= threads; }, 5s)) << count_threads() << " > " << threads;
  EXPECT_LE(count_descriptors(), descriptors);
}

TEST_F(RuntimeTest, EndsWhileOthersStillWakeItsFibers) {
  for (int i = 0; i < rounds(200); ++i) {
    auto runtime = std::make_unique<Runtime>(Runtime::Config{.workers = 2, .name = "test"});
    Event event;
    auto fiber = runtime->spawn([&] { event.wait(); });
    std::thread setter{[&] { event.set(); }};
    fiber.join();
    runtime.reset();
    setter.join();
  }
}

}  // namespace
}  // namespace weft::test
