#include <weft/thread/thread.hpp>

#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/sync/bounded_semaphore.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/thread/current_thread.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

// After ThreadTests and ThreadingExceptionTests of CPython's Lib/test/test_threading.py, and what weft promises beyond
// them.
namespace weft::test {
namespace {

class ThreadConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(ThreadConformance);

TEST_P(ThreadConformance, RunsItsCallableWithTheArguments) {
  in_world([](World&) {
    std::string said;
    Thread thread{[](std::string& to, const std::string& first, std::unique_ptr<int> second) {
                    to = first + std::to_string(*second);
                  },
                  std::ref(said), "seven is ", std::make_unique<int>(7)};
    thread.start();
    thread.join();
    EXPECT_EQ(said, "seven is 7");
  });
}

TEST_P(ThreadConformance, IsAliveFromStartToEnd) {
  in_world([](World&) {
    Event go;
    Thread thread{[&] { go.wait(); }};
    EXPECT_FALSE(thread.is_alive());
    EXPECT_EQ(thread.ident(), 0u);
    EXPECT_EQ(thread.native_id(), 0);
    thread.start();
    EXPECT_TRUE(thread.is_alive());
    EXPECT_NE(thread.ident(), 0u);
    EXPECT_GT(thread.native_id(), 0);
    const std::uint64_t ident = thread.ident();
    go.set();
    thread.join();
    EXPECT_FALSE(thread.is_alive());
    EXPECT_EQ(thread.ident(), ident);
    thread.join();  // as often as one likes
    EXPECT_TRUE(thread.join_for(0s));
  });
}

TEST_P(ThreadConformance, TimedJoinTellsWhetherItEnded) {
  in_world([](World&) {
    Event go;
    Thread thread{[&] { go.wait(); }};
    thread.start();
    EXPECT_FALSE(thread.join_for(0s));
    EXPECT_FALSE(thread.join_for(-1h));
    const Stopwatch watch;
    EXPECT_FALSE(thread.join_for(20ms));
    EXPECT_GE(watch.elapsed(), 20ms);
    EXPECT_FALSE(thread.join_until(Clock::now() + 1ms));
    EXPECT_FALSE(thread.join_until(Deadline::already()));
    EXPECT_TRUE(thread.is_alive());
    go.set();
    EXPECT_TRUE(thread.join_for(kPatience));
  });
}

TEST_P(ThreadConformance, ManyMayWaitForOne) {
  in_world([](World& world) {
    Event go;
    int value = 0;  // not atomic: ThreadSanitizer checks the order
    Thread thread{[&] {
      go.wait();
      value = 1;
    }};
    thread.start();
    auto joiners = world.spawn_many(5, [&](int number) {
      if (number % 2) {
        thread.join();
      } else {
        EXPECT_TRUE(thread.join_for(kPatience));
      }
      EXPECT_EQ(value, 1);
    });
    ASSERT_TRUE(soon_all_wait_in(joiners, detail::WaitKind::Join));
    go.set();
    join_all(joiners);
  });
}

TEST_P(ThreadConformance, JoinIsACancellationPoint) {
  in_world([](World& world) {
    Event go;
    Thread thread{[&] { go.wait(); }};
    thread.start();
    auto joiners = world.spawn_many(3, [&](int) { thread.join(); });
    ASSERT_TRUE(soon_all_wait_in(joiners, detail::WaitKind::Join));
    joiners[1].kill();
    EXPECT_EQ(joiners[1].join(), Ending::Cancelled);
    EXPECT_TRUE(thread.is_alive());
    go.set();
    EXPECT_EQ(joiners[0].join(), Ending::Returned);
    EXPECT_EQ(joiners[2].join(), Ending::Returned);
  });
}

TEST_P(ThreadConformance, StartsManyAtOnce) {
  in_world([](World& world) {
    constexpr int kEach = 10;
    std::atomic<int> ran{0};
    auto starters = world.spawn_many(8, [&](int) {
      std::vector<Thread> threads;
      for (int i = 0; i < kEach; ++i) threads.push_back(Thread{[&] { ++ran; }}.start());
      for (Thread& thread : threads) {
        EXPECT_NE(thread.ident(), 0u);
        thread.join();
        EXPECT_FALSE(thread.is_alive());
      }
    });
    join_all(starters);
    EXPECT_EQ(ran, 8 * kEach);
  });
}

TEST_P(ThreadConformance, EndsWhileManyComeToWait) {
  in_world([](World& world) {
    for (int i = 0; i < rounds(100); ++i) {
      int value = 0;
      Thread thread{[&] { value = i; }};
      thread.start();
      auto joiners = world.spawn_many(3, [&](int number) {
        if (number == 0) {
          while (!thread.join_for(1us)) {
          }
        }
        thread.join();
        EXPECT_EQ(value, i);
      });
      join_all(joiners);
    }
  });
}

TEST_P(ThreadConformance, StartOfOneThatWasKilledIsNoCancellationPoint) {
  in_world([](World& world) {
    std::atomic<bool> ran{false};
    Event go;
    Runner starter = world.spawn([&] {
      try {
        go.wait();
      } catch (const Cancelled&) {
        Thread{[&] { ran = true; }}.start();
        throw;
      }
    });
    ASSERT_TRUE(starter.soon_waits_in(detail::WaitKind::Event));
    starter.kill();
    EXPECT_EQ(starter.join(), Ending::Cancelled);
    EXPECT_TRUE(eventually([&] { return ran.load(); }));
  });
}

class Threads : public LeakFree {};

// test_various_ops: ten tasks, three at a time.
TEST_F(Threads, TakeTurnsWithPrimitives) {
  BoundedSemaphore seats{3};
  Lock lock;
  int running = 0;
  int most = 0;
  std::vector<Thread> threads;
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([&] {
      const std::lock_guard seat{seats};
      {
        const std::lock_guard guard{lock};
        most = std::max(most, ++running);
      }
      yield();
      const std::lock_guard guard{lock};
      --running;
    });
    EXPECT_FALSE(threads.back().is_alive());
    threads.back().start();
  }
  for (Thread& thread : threads) thread.join();
  EXPECT_EQ(running, 0);
  EXPECT_LE(most, 3);
}

TEST_F(Threads, StartOnlyOnce) {
  Event go;
  Thread thread{[&] { go.wait(); }};
  thread.start();
  EXPECT_THROW(thread.start(), InvalidStateError);
  go.set();
  thread.join();
  EXPECT_THROW(thread.start(), InvalidStateError);
  EXPECT_THROW(Thread{}.start(), InvalidStateError);
}

TEST_F(Threads, JoinNeitherThemselvesNorWhatHasNotBegun) {
  Thread idle{[] {}};
  EXPECT_THROW(idle.join(), InvalidStateError);
  EXPECT_THROW((void)idle.join_for(1s), InvalidStateError);
  bool refused = false;
  Thread narcissus{[&] {
    try {
      current_thread().join();
    } catch (const InvalidStateError& error) {
      refused = std::string{error.what()}.find("\"narcissus\"") != std::string::npos;
    }
  }};
  narcissus.set_name("narcissus").start();
  narcissus.join();
  EXPECT_TRUE(refused);
}

// Dropping and assigning handles joins, kills and aborts nothing.
TEST_F(Threads, RunOnWithoutAHandle) {
  Event go;
  std::atomic<int> ended{0};
  const auto work = [&] {
    go.wait();
    ++ended;
  };
  { Thread{work}.start(); }
  Thread reused{work};
  reused.start();
  reused = Thread{work};
  reused.start();
  reused = Thread{[] {}};
  auto owned = std::make_unique<Thread>(work);
  owned->start();
  owned.reset();
  EXPECT_EQ(ended, 0);
  go.set();
  EXPECT_TRUE(eventually([&] { return ended == 4; }));
}

TEST_F(Threads, HandlesOfOneThreadAreEqual) {
  Event go;
  Thread inside;
  Thread thread{[&] {
    inside = current_thread();
    go.wait();
  }};
  Thread copy = thread;
  EXPECT_TRUE(copy == thread);
  EXPECT_FALSE(copy == Thread{});
  copy.start();
  EXPECT_TRUE(thread.is_alive());
  EXPECT_THROW(thread.start(), InvalidStateError);
  go.set();
  thread.join();
  EXPECT_TRUE(inside == thread);
  EXPECT_FALSE(inside == current_thread());
}

// test_no_refcycle_through_target: what the thread was given goes when it ends, not with the last handle.
TEST_F(Threads, ReleaseWhatTheyWereGivenWhenTheyEnd) {
  auto given = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = given;
  Thread thread{[](const std::shared_ptr<int>& value) { EXPECT_EQ(*value, 1); }, std::move(given)};
  EXPECT_FALSE(seen.expired());
  thread.start();
  thread.join();
  EXPECT_TRUE(seen.expired());

  given = std::make_shared<int>(2);
  const std::weak_ptr<int> unused = given;
  thread = Thread{[given = std::move(given)] {}};
  EXPECT_FALSE(unused.expired());
  thread = Thread{};
  EXPECT_TRUE(unused.expired());
}

TEST_F(Threads, DestroyTheirThreadLocalObjectsBeforeTheyAreJoined) {
  struct Slow {
    bool* destroyed = nullptr;
    ~Slow() {
      if (!destroyed) return;
      sleep_for(10ms);
      EXPECT_FALSE(current_thread().name().empty());
      *destroyed = true;
    }
  };
  bool destroyed = false;
  Thread thread{[&] {
    static thread_local Slow slow;
    slow.destroyed = &destroyed;
  }};
  thread.start();
  thread.join();
  EXPECT_TRUE(destroyed);
}

TEST_F(Threads, MayEndByPthreadExit) {
  auto given = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = given;
  Thread thread{[given = std::move(given)] { ::pthread_exit(nullptr); }};
  thread.start();
  thread.join();
  EXPECT_FALSE(thread.is_alive());
  EXPECT_TRUE(seen.expired());
}

TEST_F(Threads, StartAndJoinInASeries) {
  int count = 0;
  for (int i = 0; i < rounds(500); ++i) {
    Thread thread{[&] { ++count; }};
    thread.start();
    thread.join();
  }
  EXPECT_EQ(count, rounds(500));
}

TEST_F(Threads, MayHaveAHundredSuccessorsInAChain) {
  struct Link {
    static void run(int left, Event& last) {
      if (left == 0) return last.set();
      Thread{run, left - 1, std::ref(last)}.start();
    }
  };
  Event last;
  Link::run(100, last);
  EXPECT_TRUE(last.wait_for(kPatience));
}

TEST_F(Threads, CanBeJoinedByFibersAndJoinThem) {
  auto fiber = spawn([] {
    int value = 0;
    Thread thread{[&] {
      auto inner = spawn([] { return 7; });
      value = inner.get();
    }};
    thread.start();
    thread.join();
    return value;
  });
  EXPECT_EQ(fiber.get(), 7);
}

}  // namespace
}  // namespace weft::test
