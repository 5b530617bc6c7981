#include <weft/sync/deadlock.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/condition.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/rlock.hpp>

#include "support/program.hpp"
#include "support/stress.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

/// What the hook was told.
class Reports {
 public:
  void add(const std::string& text) {
    const std::lock_guard guard{lock_};
    texts_.push_back(text);
  }
  [[nodiscard]] std::vector<std::string> all() const {
    const std::lock_guard guard{lock_};
    return texts_;
  }
  [[nodiscard]] std::size_t count() const { return all().size(); }
  [[nodiscard]] std::string last() const { return count() == 0 ? std::string{} : all().back(); }

 private:
  mutable std::mutex lock_;
  std::vector<std::string> texts_;
};

class Deadlocks : public InEveryWorld {
 protected:
  void SetUp() override {
    set_deadlock_hook([reports = reports_](const std::string& text) { reports->add(text); });
  }
  void TearDown() override {
    set_deadlock_policy(DeadlockPolicy::Throw);
    set_deadlock_hook({});
  }

  [[nodiscard]] Reports& reports() { return *reports_; }

  std::shared_ptr<Reports> reports_ = std::make_shared<Reports>();
};
WEFT_IN_EVERY_WORLD(Deadlocks);

void expect_mentions(const std::string& report, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(report.find(part), std::string::npos) << part << " is missing from:\n" << report;
}

// Each of `count` contexts takes one lock, and, when all have, the next one's. Returns what the DeadlockErrors said.
std::vector<std::string> close_the_circle(World& world, int count) {
  std::vector<std::unique_ptr<Lock>> locks;
  static constexpr const char* kNames[] = {"north", "east", "south", "west"};
  for (int i = 0; i < count; ++i) locks.push_back(std::make_unique<Lock>(kNames[i]));
  std::atomic<int> holding{0};
  Reports errors;
  auto contexts = world.spawn_many(count, [&](int i) {
    const std::lock_guard first{*locks[i]};
    ++holding;
    ASSERT_TRUE(eventually([&] { return holding == count; }));
    try {
      const std::lock_guard second{*locks[(i + 1) % count]};
    } catch (const DeadlockError& error) {
      errors.add(error.what());
    }
  });
  join_all(contexts);
  return errors.all();
}

TEST_P(Deadlocks, OppositeOrderEndsForExactlyOneByAnErrorThatNamesBoth) {
  in_world([&](World& world) {
    const Stopwatch watch;
    const auto errors = close_the_circle(world, 2);
    EXPECT_LT(watch.elapsed(), 20s);  // some 0.1 s when the machine is not busy
    ASSERT_EQ(errors.size(), 1U);
    expect_mentions(errors[0], {"2 contexts wait for each other", "Lock \"north\"", "Lock \"east\"", "held by ", "waits "});
    EXPECT_EQ(count_of(errors[0], "\n"), 2);
    EXPECT_EQ(reports().all(), errors);
  });
}

TEST_P(Deadlocks, FourInARing) {
  in_world([&](World& world) {
    const auto errors = close_the_circle(world, 4);
    ASSERT_EQ(errors.size(), 1U);
    expect_mentions(errors[0], {"4 contexts", "north", "east", "south", "west"});
  });
}

TEST_P(Deadlocks, ALockTakenTwiceIsReported) {
  in_world([&](World&) {
    Lock lock{"once"};
    const std::lock_guard guard{lock};
    try {
      lock.lock();
      ADD_FAILURE() << "taken twice";
    } catch (const DeadlockError& error) {
      expect_mentions(error.what(), {"a context waits for itself", "Lock \"once\"", "held by itself"});
    }
    EXPECT_TRUE(lock.locked());
  });
}

TEST_P(Deadlocks, AnRLockIsCalledByItsKind) {
  in_world([&](World& world) {
    RLock a{"a"};
    RLock b{"b"};
    std::atomic<int> holding{0};
    std::atomic<int> errors{0};
    const auto take = [&](RLock& first, RLock& second) {
      const std::lock_guard outer{first};
      const std::lock_guard again{first};
      ++holding;
      ASSERT_TRUE(eventually([&] { return holding == 2; }));
      try {
        const std::lock_guard inner{second};
      } catch (const DeadlockError& error) {
        ++errors;
        expect_mentions(error.what(), {"RLock \"a\"", "RLock \"b\""});
      }
    };
    auto one = world.spawn([&] { take(a, b); });
    auto other = world.spawn([&] { take(b, a); });
    one.join();
    other.join();
    EXPECT_EQ(errors, 1);
  });
}

TEST_P(Deadlocks, JoiningOneThatWantsALockOfTheJoinerIsACircle) {
  in_world([&](World&) {
    Lock lock{"held while joining"};
    std::atomic<int> errors{0};
    lock.lock();
    auto fiber = spawn({.name = "wants it"}, [&] {
      try {
        lock.lock();
        lock.unlock();
      } catch (const DeadlockError&) {
        ++errors;
      }
    });
    std::string report;
    for (;;) {
      try {
        fiber.join();
        break;
      } catch (const DeadlockError& error) {
        ++errors;
        report = error.what();
        lock.unlock();
      }
    }
    if (lock.locked()) lock.unlock();
    EXPECT_EQ(errors, 1);
    expect_mentions(reports().last(), {"the end of fiber \"wants it\"", "Lock \"held while joining\"", "2 contexts"});
  });
}

TEST_P(Deadlocks, ThreeWayThroughAJoin) {
  in_world([&](World& world) {
    Lock a{"a"};
    Lock b{"b"};
    Event both;
    std::atomic<int> errors{0};
    // This context holds a and joins the fiber, which wants b, whose holder wants a.
    auto holder_of_b = world.spawn([&] {
      const std::lock_guard guard{b};
      both.set();
      ASSERT_TRUE(eventually([&] { return a.locked(); }));
      try {
        const std::lock_guard second{a};
      } catch (const DeadlockError&) {
        ++errors;
      }
    });
    both.wait();
    a.lock();
    auto fiber = spawn({.name = "middle"}, [&] {
      try {
        const std::lock_guard guard{b};
      } catch (const DeadlockError&) {
        ++errors;
      }
    });
    try {
      fiber.join();
    } catch (const DeadlockError&) {
      ++errors;
    }
    a.unlock();
    fiber.join();
    holder_of_b.join();
    EXPECT_EQ(errors, 1);
    expect_mentions(reports().last(), {"3 contexts", "Lock \"a\"", "Lock \"b\"", "the end of fiber \"middle\""});
  });
}

TEST_P(Deadlocks, AWaitWithADeadlineIsNoPartOfOne) {
  in_world([&](World& world) {
    Lock a;
    Lock b;
    std::atomic<int> holding{0};
    const auto take = [&](Lock& first, Lock& second, bool timed) {
      const std::lock_guard guard{first};
      ++holding;
      ASSERT_TRUE(eventually([&] { return holding == 2; }));
      if (timed) {
        EXPECT_FALSE(second.try_lock_for(400ms));
      } else {
        second.lock();
        second.unlock();
      }
    };
    auto patient = world.spawn([&] { take(a, b, false); });
    auto timed = world.spawn([&] { take(b, a, true); });
    patient.join();
    timed.join();
    EXPECT_EQ(reports().count(), 0U);
  });
}

TEST_P(Deadlocks, UnderThePolicyReportTheyWaitOnAndAreToldOnce) {
  set_deadlock_policy(DeadlockPolicy::Report);
  in_world([&](World& world) {
    std::atomic<bool> thrown{false};
    auto waiter = world.spawn([&] {
      Lock own;
      const std::lock_guard guard{own};
      try {
        own.lock();  // until the policy is changed back
      } catch (const DeadlockError&) {
        thrown = true;
      }
    });
    ASSERT_TRUE(eventually([&] { return reports().count() == 1; }));
    sleep_for(250ms);
    EXPECT_EQ(reports().count(), 1U);
    EXPECT_FALSE(waiter.done());
    set_deadlock_policy(DeadlockPolicy::Throw);
    waiter.join();
    EXPECT_TRUE(thrown);
  });
}

TEST_P(Deadlocks, TakingALockAgainAfterAWaitIsReportedButDoesNotThrow) {
  in_world([&](World& world) {
    Lock a{"a"};
    Lock b{"b"};
    Condition changed;
    std::atomic<int> errors{0};
    std::atomic<bool> waiting{false};
    // Waits with a, holding b, too: whoever takes a and then wants b closes the circle when the waiter is notified.
    auto waiter = world.spawn([&] {
      std::unique_lock guard{a};
      const std::lock_guard second{b};
      waiting = true;
      changed.wait(guard);
      EXPECT_TRUE(guard.owns_lock());
    });
    ASSERT_TRUE(eventually([&] { return waiting.load(); }));
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Condition));
    a.lock();
    changed.notify_one();
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Lock));
    sleep_for(100ms);
    try {
      b.lock();
      ADD_FAILURE() << "b has a holder";
    } catch (const DeadlockError&) {
      ++errors;
    }
    EXPECT_EQ(errors, 1);
    a.unlock();
    waiter.join();
  });
}

TEST_P(Deadlocks, TheLastToBlockIsTheVictim) {
  in_world([&](World& world) {
    Lock a;
    Lock b;
    std::atomic<bool> first_failed{false};
    std::atomic<bool> holds_a{false};
    b.lock();
    auto first = world.spawn([&] {
      const std::lock_guard guard{a};
      holds_a = true;
      try {
        const std::lock_guard second{b};
      } catch (const DeadlockError&) {
        first_failed = true;
      }
    });
    ASSERT_TRUE(eventually([&] { return holds_a.load(); }));
    ASSERT_TRUE(first.soon_waits_in(WaitKind::Lock));
    sleep_for(50ms);
    EXPECT_THROW(a.lock(), DeadlockError);
    b.unlock();
    first.join();
    EXPECT_FALSE(first_failed);
  });
}

// Locks that are passed on all the time, with chains of waiters that look like circles to whoever reads them at different
// moments; locks that die as soon as they are free; timed waits and kills in between.
TEST_P(Deadlocks, NoneIsSeenWhereThereIsNone) {
  in_world([&](World& world) {
    constexpr int kLocks = 4;
    const Deadline end = Deadline::after(stressing() ? 5s : 400ms);
    std::vector<std::unique_ptr<Lock>> locks;
    for (int i = 0; i < kLocks; ++i) locks.push_back(std::make_unique<Lock>());
    auto contexts = world.spawn_many(6, [&](int number) {
      Random random{static_cast<std::uint64_t>(number)};
      while (!end.has_passed()) {
        // In ascending order: no circle is possible, but each is often found held by one that waits for another.
        const auto first = static_cast<std::size_t>(random.below(kLocks - 1));
        const auto second = first + 1 + static_cast<std::size_t>(random.below(kLocks - 1 - first));
        const std::lock_guard outer{*locks[first]};
        if (random.below(2) == 0) yield();
        const std::lock_guard inner{*locks[second]};
        if (random.below(8) == 0) sleep_for(std::chrono::microseconds{random.below(3000)});
        if (random.below(4) == 0) {
          // Dies with waiters that have just left it.
          auto brief = std::make_unique<Lock>();
          brief->lock();
          auto waiter = spawn([&] { const std::lock_guard guard{*brief}; });
          yield();
          brief->unlock();
          waiter.join();
        }
      }
    });
    join_all(contexts);
    EXPECT_EQ(reports().count(), 0U) << reports().last();
  });
}

// Real deadlocks, one after another, among contexts that otherwise go on: each is resolved exactly once.
TEST_P(Deadlocks, EveryCircleIsResolvedExactlyOnce) {
  in_world([&](World& world) {
    const int count = stressing() ? 20 : 3;
    for (int round = 0; round < count; ++round) ASSERT_EQ(close_the_circle(world, 2 + round % 3).size(), 1U);
    EXPECT_EQ(reports().count(), static_cast<std::size_t>(count));
  });
}

TEST(DeadlockPrograms, FiberAndThreadAreNamedWithTheirPlaces) {
  const ProgramResult result = run_program("deadlocked", {"mixed"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_NE(result.output.find("fiber \"transfer\"  waits"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("thread \"audit\"  waits"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("held by thread \"audit\""), std::string::npos) << result.output;
  EXPECT_TRUE(result.output.find("deadlocked.cpp:") != std::string::npos ||
              result.output.find("take_both") != std::string::npos)
      << "no place:\n" << result.output;
}

TEST(DeadlockPrograms, ANoexceptCallerEndsExplained) {
  const ProgramResult result = run_program("deadlocked", {"noexcept"});
  EXPECT_NE(result.signal, 0) << result.output;
  EXPECT_NE(result.output.find("a context waits for itself"), std::string::npos) << result.output;
}

TEST(DeadlockPrograms, ThePolicyAbortEndsTheProgramExplained) {
  const ProgramResult result = run_program("deadlocked", {"abort"});
  EXPECT_NE(result.signal, 0) << result.output;
  EXPECT_NE(result.output.find("a context waits for itself"), std::string::npos) << result.output;
}

TEST(DeadlockPrograms, AStandstillIsSuspectedOnce) {
  const ProgramResult result = run_program("deadlocked", {"standstill"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(count_of(result.output, "SUSPECTED"), 1) << result.output;
  EXPECT_NE(result.output.find("fiber \"patient\"  waits"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("Event \"never\""), std::string::npos) << result.output;
}

TEST(DeadlockPrograms, AServerThatWaitsForInputIsNotSuspected) {
  for (const char* how : {"idle", "selecting"}) {
    const ProgramResult result = run_program("deadlocked", {how});
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_EQ(count_of(result.output, "SUSPECTED"), 0) << result.output;
  }
}

}  // namespace
}  // namespace weft::test
