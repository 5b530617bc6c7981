// In what order fibers run, and on which workers.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/semaphore.hpp>

#include "support/eventually.hpp"
#include "support/leaks.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

class Scheduling : public LeakFree {};

/// Keeps the processor, without ever switching, until condition() or the end of patience.
template <class Condition>
bool spin_until(Condition condition) {
  const Deadline deadline = Deadline::after(kPatience);
  while (!condition()) {
    if (deadline.has_passed()) return false;
  }
  return true;
}

// ---- one worker ------------------------------------------------------------------------------------------------------

TEST_F(Scheduling, OneWorkerStartsFibersInTheOrderOfTheirSpawn) {
  Runtime runtime{{.workers = 1}};
  std::vector<int> order;
  runtime.run([&] {
    std::vector<Fiber<void>> fibers;
    for (int i = 0; i < 100; ++i) fibers.push_back(spawn([&, i] { order.push_back(i); }));
    EXPECT_TRUE(order.empty());  // never inside spawn()
    join_all(fibers);
  });
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
}

// More than fit in a worker's own queue.
TEST_F(Scheduling, OneWorkerKeepsTheOrderOfThousands) {
  Runtime runtime{{.workers = 1}};
  constexpr int kFibers = 3000;
  const int count = under_thread_sanitizer() ? 1000 : kFibers;
  std::vector<int> order;
  runtime.run([&] {
    std::vector<Fiber<void>> fibers;
    for (int i = 0; i < count; ++i) {
      fibers.push_back(spawn([&, i] {
        order.push_back(i);
        yield();
        order.push_back(i);
      }));
    }
    join_all(fibers);
  });
  std::vector<int> expected(static_cast<std::size_t>(count));
  std::iota(expected.begin(), expected.end(), 0);
  expected.insert(expected.end(), expected.begin(), expected.begin() + count);
  EXPECT_TRUE(order == expected) << "first out of order at "
                                 << std::mismatch(order.begin(), order.end(), expected.begin()).first - order.begin();
}

TEST_F(Scheduling, OneWorkerTakesTurnsAtEveryYield) {
  Runtime runtime{{.workers = 1}};
  std::vector<int> order;
  runtime.run([&] {
    std::vector<Fiber<void>> fibers;
    for (int i = 0; i < 4; ++i) {
      fibers.push_back(spawn([&, i] {
        for (int turn = 0; turn < 50; ++turn) {
          order.push_back(i);
          yield();
        }
      }));
    }
    join_all(fibers);
  });
  ASSERT_EQ(order.size(), 200u);
  for (std::size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], static_cast<int>(i % 4)) << "at " << i;
}

TEST_F(Scheduling, OneWorkerGoesOnInTheOrderOfWakeUp) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    Event events[5];
    std::vector<int> order;
    std::vector<Fiber<void>> fibers;
    for (int i = 0; i < 5; ++i) {
      fibers.push_back(spawn([&, i] {
        events[i].wait();
        order.push_back(i);
      }));
    }
    yield();
    for (const int i : {3, 0, 4, 1, 2}) events[i].set();
    join_all(fibers);
    EXPECT_EQ(order, (std::vector{3, 0, 4, 1, 2}));
  });
}

TEST_F(Scheduling, OneWorkerWakesSleepersInTheOrderOfTheirDeadlines) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    std::vector<int> order;
    std::vector<Fiber<void>> fibers;
    const auto begin = Clock::now() + 5ms;
    for (const int i : {4, 2, 0, 3, 1}) {
      fibers.push_back(spawn([&, i] {
        sleep_until(begin + i * 1ms);
        order.push_back(i);
      }));
    }
    join_all(fibers);
    EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
  });
}

TEST_F(Scheduling, OneWorkerNeverRunsTwoAtOnce) {
  Runtime runtime{{.workers = 1}};
  int inside = 0;  // not atomic: there is nobody else
  long turns = 0;
  runtime.run([&] {
    Semaphore semaphore{2};
    std::vector<Fiber<void>> fibers;
    for (int i = 0; i < 20; ++i) {
      fibers.push_back(spawn([&, i] {
        for (int turn = 0; turn < 200; ++turn) {
          EXPECT_EQ(++inside, 1);
          ++turns;
          --inside;
          switch ((turn + i) % 8) {
            case 0: sleep_for(10us); break;
            case 1: {
              semaphore.acquire();
              yield();
              semaphore.release();
              break;
            }
            default: yield();
          }
        }
      }));
    }
    join_all(fibers);
  });
  EXPECT_EQ(turns, 20 * 200);
}

// Two runs of the same program do the same: the order is a trace of what each did.
TEST_F(Scheduling, OneWorkerIsDeterministic) {
  const auto trace = [] {
    Runtime runtime{{.workers = 1}};
    std::vector<int> order;
    runtime.run([&] {
      Lock lock;
      Semaphore semaphore{1};
      std::vector<Fiber<void>> fibers;
      for (int i = 0; i < 12; ++i) {
        fibers.push_back(spawn([&, i] {
          for (int turn = 0; turn < 30; ++turn) {
            order.push_back(i);
            switch ((turn * 7 + i) % 5) {
              case 0: {
                const std::lock_guard guard{lock};
                yield();
                break;
              }
              case 1:
                semaphore.acquire();
                yield();
                semaphore.release();
                break;
              case 2: spawn([&order, i] { order.push_back(100 + i); }).join(); break;
              default: yield();
            }
          }
        }));
      }
      join_all(fibers);
    });
    return order;
  };
  const auto first = trace();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(trace() == first) << "run " << i;
}

// ---- several workers -------------------------------------------------------------------------------------------------

TEST_F(Scheduling, SeveralWorkersRunFibersInParallel) {
  Runtime runtime{{.workers = 2, .name = "test"}};
  std::atomic<int> inside{0};
  const auto meet = [&] {
    ++inside;
    return spin_until([&] { return inside == 2; });  // neither switches: only together can they go on
  };
  runtime.run([&] {
    auto a = spawn(meet);
    auto b = spawn(meet);
    EXPECT_TRUE(a.get());
    EXPECT_TRUE(b.get());
  });
}

TEST_F(Scheduling, IdleWorkersSteal) {
  Runtime runtime{{.workers = 2, .name = "test"}};
  runtime.run([] {
    // All are spawned on one worker; the busy ones stop only when both have worked.
    Lock lock;
    std::set<int> threads;
    std::atomic<std::size_t> seen{0};
    std::vector<Fiber<bool>> fibers;
    for (int i = 0; i < 64; ++i) {
      fibers.push_back(spawn([&] {
        {
          const std::lock_guard guard{lock};
          threads.insert(::gettid());
          seen = threads.size();
        }
        return spin_until([&] { return seen == 2; });
      }));
    }
    for (auto& fiber : fibers) EXPECT_TRUE(fiber.get());
  });
}

TEST_F(Scheduling, LongRunningFiberDoesNotKeepItsRingMatesWaiting) {
  Runtime runtime{{.workers = 2, .name = "test"}};
  for (int i = 0; i < rounds(20); ++i) {
    runtime.run([] {
      std::atomic<bool> ran{false};
      auto mate = spawn([&] { ran = true; });  // stands behind us, and we do not switch
      EXPECT_TRUE(spin_until([&] { return ran.load(); }));
      mate.join();
    });
  }
}

TEST_F(Scheduling, SoDoesOneThatWasWokenThere) {
  Runtime runtime{{.workers = 2, .name = "test"}};
  runtime.run([] {
    for (int i = 0; i < rounds(20); ++i) {
      Event go;
      std::atomic<bool> ran{false};
      auto mate = spawn([&] {
        go.wait();
        ran = true;
      });
      sleep_for(200us);
      go.set();
      EXPECT_TRUE(spin_until([&] { return ran.load(); }));
      mate.join();
    }
  });
}

TEST_F(Scheduling, TimersOfAStuckWorkerFire) {
  Runtime runtime{{.workers = 2, .name = "test"}};
  runtime.run([] {
    for (int i = 0; i < rounds(10); ++i) {
      std::atomic<int> sleeping{0};
      std::atomic<int> woke{0};
      std::vector<Fiber<void>> sleepers;
      for (int k = 0; k < 8; ++k) {
        sleepers.push_back(spawn([&] {
          ++sleeping;
          sleep_for(3ms);
          ++woke;
        }));
      }
      while (sleeping < 8) yield();
      // Wherever they sleep, on this worker or the other: both are kept busy now but one.
      EXPECT_TRUE(spin_until([&] { return woke == 8; }));
      join_all(sleepers);
    }
  });
}

// The one that spins here is the only thread that could have polled.
TEST_F(Scheduling, FibersOnBothWorkersSurviveOneThatNeverSwitches) {
  Runtime runtime{{.workers = 2, .name = "test"}};
  runtime.run([] {
    std::atomic<bool> stop{false};
    auto hog = spawn([&] { EXPECT_TRUE(spin_until([&] { return stop.load(); })); });
    Event ping;
    Event pong;
    auto partner = spawn([&] {
      for (int i = 0; i < 200; ++i) {
        ping.wait();
        ping.clear();
        pong.set();
      }
    });
    for (int i = 0; i < 200; ++i) {
      ping.set();
      pong.wait();
      pong.clear();
      if (i % 50 == 0) sleep_for(1ms);
    }
    partner.join();
    stop = true;
    hog.join();
  });
}

TEST_F(Scheduling, SpawnsFromPlainThreadsAreNeverOverlooked) {
  Runtime runtime{{.workers = 4, .name = "test"}};
  std::atomic<int> ran{0};
  std::vector<std::thread> threads;
  const int count = rounds(3000);
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < count; ++i) {
        auto fiber = runtime.spawn([&] { ++ran; });
        if (i % 8 == 0) {
          // The workers go to sleep between, and have to be woken for this one.
          EXPECT_TRUE(fiber.join_for(kPatience)) << "lost";
          if (i % 64 == 0) std::this_thread::sleep_for(100us);
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(eventually([&] { return ran == 3 * count; }));
}

}  // namespace
}  // namespace weft::test
