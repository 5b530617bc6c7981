#include <weft/fiber/fiber.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <mutex>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/io/blocking.hpp>
#include <weft/sync/condition.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/semaphore.hpp>

#include "support/stress.hpp"
#include "support/waits_in.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

class Kill : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(Kill);

TEST_P(Kill, EndsASleeperAtOnceAndUnwindsIt) {
  in_world([](World& world) {
    bool unwound = false;
    Runner sleeper = world.spawn([&] {
      struct Mark {
        bool& flag;
        ~Mark() { flag = true; }
      } const mark{unwound};
      sleep_for(24h);
    });
    ASSERT_TRUE(sleeper.soon_waits_in(WaitKind::Sleep));
    sleeper.kill();
    EXPECT_EQ(sleeper.join(), Ending::Cancelled);
    EXPECT_TRUE(unwound);
  });
}

TEST_P(Kill, AlsoEndsASleepWithoutEnd) {
  in_world([](World& world) {
    Runner sleeper = world.spawn([] { sleep_until(Deadline::never()); });
    ASSERT_TRUE(sleeper.soon_waits_in(WaitKind::Sleep));
    sleeper.kill();
    EXPECT_EQ(sleeper.join(), Ending::Cancelled);
  });
}

TEST_P(Kill, IsStickyThroughEveryBlockingCall) {
  in_world([](World& world) {
    Event event;
    Semaphore semaphore{0};
    Lock lock;
    lock.lock();
    auto other = spawn([&] { event.wait(); });
    int thrown = 0;
    Runner runner = world.spawn([&] {
      const auto expect_cancelled = [&](const std::function<void()>& blocking_call) {
        try {
          blocking_call();
        } catch (const Cancelled&) {
          ++thrown;
        }
      };
      expect_cancelled([] { sleep_for(24h); });
      expect_cancelled([] { sleep_for(0s); });
      expect_cancelled([] { yield(); });
      expect_cancelled([] { check_cancelled(); });
      expect_cancelled([&] { event.wait(); });
      expect_cancelled([&] { (void)event.wait_for(0s); });
      expect_cancelled([&] { semaphore.acquire(); });
      expect_cancelled([&] { (void)lock.try_lock_for(1s); });
      expect_cancelled([&] { other.join(); });
      expect_cancelled([] { sleep_for(24h); });
    });
    ASSERT_TRUE(runner.soon_waits_in(WaitKind::Sleep));
    runner.kill();
    EXPECT_EQ(runner.join(), Ending::Returned);
    EXPECT_EQ(thrown, 10);
    lock.unlock();
    event.set();
    other.join();
  });
}

TEST_P(Kill, IsNotCaughtByHandlersForFailures) {
  in_world([](World& world) {
    Runner runner = world.spawn([] {
      try {
        sleep_for(24h);
      } catch (const std::exception&) {
        ADD_FAILURE() << "swallowed";
      }
    });
    ASSERT_TRUE(runner.soon_waits_in(WaitKind::Sleep));
    runner.kill();
    EXPECT_EQ(runner.join(), Ending::Cancelled);
  });
}

TEST_P(Kill, ReachesAContextThatOnlyYieldsOrComputes) {
  in_world([](World& world) {
    std::atomic<int> turns{0};
    Runner yielder = world.spawn([&] {
      for (;;) {
        yield();
        ++turns;
      }
    });
    ASSERT_TRUE(eventually([&] { return turns > 10; }));
    yielder.kill();
    EXPECT_EQ(yielder.join(), Ending::Cancelled);
    Event killed;
    Runner computer = world.spawn([&] {
      for (;;) {
        check_cancelled();
        (void)killed.wait_for(1ms);
        if (killed.is_set()) check_cancelled();
      }
    });
    computer.kill();
    killed.set();
    EXPECT_EQ(computer.join(), Ending::Cancelled);
  });
}

// Nothing throws Cancelled while another exception unwinds, Cancelled itself included: a destructor may block.
TEST_P(Kill, DestructorsMayBlockWhileAKilledContextUnwinds) {
  in_world([](World& world) {
    Event never;
    Event late;
    Semaphore semaphore{1};
    Lock lock;
    Condition condition;
    int steps = 0;
    struct Cleanup {
      std::function<void()> work;
      ~Cleanup() { work(); }
    };
    Runner runner = world.spawn([&] {
      const Cleanup cleanup{[&] {
        const Stopwatch watch;
        sleep_for(20ms);
        EXPECT_GE(watch.elapsed(), 20ms);
        yield();
        check_cancelled();
        EXPECT_FALSE(never.wait_for(5ms));
        late.wait();
        semaphore.acquire();
        EXPECT_FALSE(semaphore.try_acquire_for(1ms));
        EXPECT_TRUE(lock.try_lock_for(1s));
        lock.unlock();
        std::unique_lock guard{lock};
        EXPECT_FALSE(condition.wait_for(guard, 1ms));
        ++steps;
      }};
      sleep_for(24h);
    });
    ASSERT_TRUE(runner.soon_waits_in(WaitKind::Sleep));
    runner.kill();
    ASSERT_TRUE(runner.soon_waits_in(WaitKind::Event));
    runner.kill();  // again, while it unwinds
    sleep_for(10ms);
    EXPECT_FALSE(runner.done());
    late.set();
    EXPECT_EQ(runner.join(), Ending::Cancelled);
    EXPECT_EQ(steps, 1);
  });
}

TEST_P(Kill, DoesNotReachWhatRunsNextInItsPlace) {
  in_world([](World& world) {
    for (int i = 0; i < 20; ++i) {
      Runner victim = world.spawn([] { sleep_for(24h); });
      ASSERT_TRUE(victim.soon_waits_in(WaitKind::Sleep));
      victim.kill();
      victim.join();
      victim.kill();  // it has ended: nothing happens
      EXPECT_EQ(world.spawn([] { sleep_for(1us); }).join(), Ending::Returned);
    }
  });
}

// ---- what only the handle of a fiber can show ------------------------------------------------------------------------

class KillFiber : public LeakFree, public testing::WithParamInterface<unsigned> {
 protected:
  void run(const std::function<void()>& body) {
    Runtime runtime{{.workers = GetParam(), .name = "test"}};
    runtime.run(body);
  }
};
INSTANTIATE_TEST_SUITE_P(Workers, KillFiber, testing::Values(1u, 2u, 4u));

TEST_P(KillFiber, ResultOfAKilledFiberIsCancelledError) {
  run([] {
    auto fiber = spawn({.name = "victim"}, [] {
      sleep_for(24h);
      return 1;
    });
    yield();
    fiber.kill();
    fiber.join();
    EXPECT_TRUE(fiber.done());
    try {
      fiber.get();
      ADD_FAILURE() << "there is no value";
    } catch (const CancelledError& error) {
      EXPECT_NE(std::string{error.what()}.find("victim"), std::string::npos) << error.what();
    }
  });
}

TEST_P(KillFiber, FiberKilledInTimeNeverBegins) {
  Runtime runtime{{.workers = 1}};  // where spawn and kill come before any switch
  runtime.run([] {
    bool ran = false;
    auto held = std::make_shared<int>(1);
    auto fiber = spawn([&ran, held] { ran = true; });
    fiber.kill();
    fiber.join();
    EXPECT_FALSE(ran);
    EXPECT_TRUE(fiber.done());
    EXPECT_EQ(held.use_count(), 1) << "what a fiber holds is released when it ends";
    EXPECT_THROW(fiber.get(), CancelledError);
  });
}

TEST_P(KillFiber, FiberThatReturnsInSpiteOfItHasAValue) {
  run([] {
    Event begun;
    auto fiber = spawn([&] {
      begun.set();
      try {
        sleep_for(24h);
      } catch (const Cancelled&) {
      }
      return 42;
    });
    begun.wait();
    fiber.kill();
    EXPECT_EQ(fiber.get(), 42);
  });
}

TEST_P(KillFiber, ValueOfAFiberKilledAfterItsEndStays) {
  run([] {
    auto fiber = spawn([] { return 42; });
    fiber.join();
    fiber.kill();
    EXPECT_EQ(fiber.get(), 42);
  });
}

TEST_P(KillFiber, WaitsForALockItWasPromised) {
  run([] {
    Lock lock;
    lock.lock();
    Whereabouts victim;
    bool held = false;
    auto fiber = spawn([&] {
      victim.am_here();
      const std::lock_guard guard{lock};
      held = true;
      sleep_for(24h);
    });
    ASSERT_TRUE(eventually([&] { return victim.waits_in(WaitKind::Lock); }));
    fiber.kill();
    EXPECT_FALSE(fiber.join_for(5ms));
    lock.unlock();
    fiber.join();
    EXPECT_TRUE(held);
    EXPECT_FALSE(lock.locked());
    EXPECT_THROW(fiber.get(), CancelledError);
  });
}

TEST_P(KillFiber, EndsAJoinButNotTheFiberThatIsJoined) {
  run([] {
    Event go;
    auto joined = spawn([&] {
      go.wait();
      return 1;
    });
    auto joiner = spawn([&] { joined.join(); });
    auto getter = spawn([&] { return joined.get(); });
    sleep_for(2ms);
    joiner.kill();
    joiner.join();
    EXPECT_THROW(joiner.get(), CancelledError);
    EXPECT_FALSE(joined.done());
    go.set();
    EXPECT_EQ(getter.get(), 1);
  });
}

TEST_P(KillFiber, BlockingWorkIsWaitedFor) {
  run([] {
    std::atomic<bool> working{false};
    std::atomic<bool> release{false};
    int result = 0;
    auto fiber = spawn([&] {
      result = blocking([&] {
        working = true;
        while (!release) std::this_thread::sleep_for(100us);
        return 42;
      });
      yield();
      ADD_FAILURE() << "went on";
    });
    ASSERT_TRUE(eventually([&] { return working.load(); }));
    fiber.kill();
    EXPECT_FALSE(fiber.join_for(5ms));
    release = true;
    fiber.join();
    EXPECT_EQ(result, 42);
    EXPECT_THROW(fiber.get(), CancelledError);
  });
}

TEST_P(KillFiber, KilledFiberDoesNotBeginBlockingWork) {
  run([] {
    Event begun;
    bool began = false;
    auto fiber = spawn([&] {
      begun.set();
      try {
        sleep_for(24h);
      } catch (const Cancelled&) {
      }
      blocking([&] { began = true; });
    });
    begun.wait();
    fiber.kill();
    EXPECT_THROW(fiber.get(), CancelledError);
    EXPECT_FALSE(began);
  });
}

TEST_P(KillFiber, MayKillItself) {
  run([] {
    Fiber<void> fiber;
    Event assigned;
    bool went_on = false;
    fiber = spawn([&] {
      assigned.wait();
      fiber.kill();
      went_on = true;  // until the next blocking call
      yield();
      ADD_FAILURE() << "not a cancellation point";
    });
    assigned.set();
    fiber.join();
    EXPECT_TRUE(went_on);
    EXPECT_THROW(fiber.get(), CancelledError);
  });
}

TEST_P(KillFiber, ManyAtOnceFromManySides) {
  run([] {
    std::atomic<int> unwound{0};
    struct Mark {
      std::atomic<int>& count;
      ~Mark() { ++count; }
    };
    constexpr int kFibers = 200;
    for (int round = 0; round < rounds(20); ++round) {
      unwound = 0;
      std::atomic<int> begun{0};
      std::vector<Fiber<void>> fibers;
      for (int i = 0; i < kFibers; ++i) {
        fibers.push_back(spawn([&, i] {
          const Mark mark{unwound};
          ++begun;
          Random random{static_cast<std::uint64_t>(i) + 1};
          for (;;) sleep_for(std::chrono::microseconds{random.below(200)});
        }));
      }
      ASSERT_TRUE(eventually([&] { return begun == kFibers; }));
      const auto kill_all = [&] {
        for (auto& fiber : fibers) fiber.kill();
      };
      auto one = spawn(kill_all);
      auto other = spawn(kill_all);
      join_all(fibers);
      join_all(one, other);
      EXPECT_EQ(unwound, kFibers);
    }
  });
}

}  // namespace
}  // namespace weft::test
