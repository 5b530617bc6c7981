#include <weft/sync/barrier.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>

#include <weft/base/error.hpp>
#include <weft/fiber/this_fiber.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

// After BarrierTests of CPython's Lib/test/lock_tests.py, and what weft promises beyond them.
namespace weft::test {
namespace {

using detail::WaitKind;

constexpr std::uint32_t kParties = 5;

class BarrierConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(BarrierConformance);

bool soon_waiting(const Barrier& barrier, std::uint32_t count) {
  return eventually([&] { return barrier.waiting() == count; });
}

TEST_P(BarrierConformance, LetsAllThroughOnceAllHaveCome) {
  in_world([](World& world) {
    Barrier barrier{kParties};
    EXPECT_EQ(barrier.parties(), kParties);
    std::atomic<int> through{0};
    auto runners = world.spawn_many(kParties - 1, [&](int) {
      barrier.wait();
      ++through;
    });
    ASSERT_TRUE(soon_waiting(barrier, kParties - 1));
    EXPECT_EQ(through, 0);
    barrier.wait();
    join_all(runners);
    EXPECT_EQ(through, static_cast<int>(kParties) - 1);
    EXPECT_EQ(barrier.waiting(), 0u);
    EXPECT_FALSE(barrier.broken());
  });
}

TEST_P(BarrierConformance, GivesEachItsPlaceInTheOrderOfArrival) {
  in_world([](World& world) {
    Barrier barrier{kParties};
    std::vector<Runner> runners;
    for (std::uint32_t i = 0; i + 1 < kParties; ++i) {
      runners.push_back(world.spawn([&, i] { EXPECT_EQ(barrier.wait(), i); }));
      ASSERT_TRUE(soon_waiting(barrier, i + 1));
    }
    EXPECT_EQ(barrier.wait(), kParties - 1);
    join_all(runners);
  });
}

TEST_P(BarrierConformance, NobodyIsARoundAhead) {
  in_world([](World& world) {
    Barrier barrier{kParties};
    std::atomic<long> arrivals{0};
    const int turns = rounds(100);
    std::vector<std::atomic<int>> places(kParties);
    auto runners = world.spawn_many(kParties, [&](int) {
      for (int turn = 1; turn <= turns; ++turn) {
        ++arrivals;
        ++places[barrier.wait()];
        EXPECT_GE(arrivals, static_cast<long>(kParties) * turn);
        // Nobody has begun the round after the next.
        EXPECT_LE(arrivals, static_cast<long>(kParties) * (turn + 1));
      }
    });
    join_all(runners);
    for (const auto& place : places) EXPECT_EQ(place, turns);
  });
}

TEST_P(BarrierConformance, OnePartyNeedsNobodyElse) {
  in_world([](World&) {
    Barrier barrier{1};
    for (int i = 0; i < 3; ++i) EXPECT_EQ(barrier.wait(), 0u);
    EXPECT_THROW(Barrier{0}, InvalidStateError);
  });
}

TEST_P(BarrierConformance, TheLastToComeRunsTheActionBeforeAnybodyPasses) {
  in_world([](World& world) {
    std::atomic<int> actions{0};
    std::atomic<int> through{0};
    std::uint64_t by = 0;
    Barrier barrier{kParties, [&] {
                      ++actions;
                      by = detail::current_context_id();
                      yield();
                      EXPECT_EQ(through, 0);
                    }};
    auto runners = world.spawn_many(kParties - 1, [&](int) {
      barrier.wait();
      EXPECT_EQ(actions, 1);
      ++through;
    });
    ASSERT_TRUE(soon_waiting(barrier, kParties - 1));
    EXPECT_EQ(actions, 0);
    barrier.wait();
    join_all(runners);
    EXPECT_EQ(actions, 1);
    EXPECT_EQ(by, detail::current_context_id());
  });
}

TEST_P(BarrierConformance, AnActionMayAskTheBarrierAndBlock) {
  in_world([](World& world) {
    Barrier* seen = nullptr;
    std::uint32_t waiting = 0;
    Barrier barrier{2, [&] {
                      waiting = seen->waiting();
                      sleep_for(1ms);
                    }};
    seen = &barrier;
    Runner other = world.spawn([&] { barrier.wait(); });
    barrier.wait();
    EXPECT_EQ(other.join(), Ending::Returned);
    EXPECT_EQ(waiting, 2u);
  });
}

TEST_P(BarrierConformance, AnActionThatThrowsBreaksIt) {
  in_world([](World& world) {
    Barrier barrier{2, [] { throw std::runtime_error{"no"}; }};
    Runner other = world.spawn([&] { EXPECT_THROW(barrier.wait(), BrokenBarrierError); });
    ASSERT_TRUE(soon_waiting(barrier, 1));
    EXPECT_THROW(barrier.wait(), std::runtime_error);
    EXPECT_EQ(other.join(), Ending::Returned);
    EXPECT_TRUE(barrier.broken());
    EXPECT_THROW(barrier.wait(), BrokenBarrierError);
  });
}

TEST_P(BarrierConformance, AbortTellsThoseWhoWaitAndAllWhoCome) {
  in_world([](World& world) {
    Barrier barrier{kParties};
    auto runners = world.spawn_many(kParties - 1, [&](int) { EXPECT_THROW(barrier.wait(), BrokenBarrierError); });
    ASSERT_TRUE(soon_waiting(barrier, kParties - 1));
    barrier.abort();
    join_all(runners);
    EXPECT_TRUE(barrier.broken());
    EXPECT_EQ(barrier.waiting(), 0u);
    EXPECT_THROW(barrier.wait(), BrokenBarrierError);
    EXPECT_THROW((void)barrier.wait_for(1ms), BrokenBarrierError);
  });
}

TEST_P(BarrierConformance, ResetTellsThoseWhoWaitAndServesThoseWhoCome) {
  in_world([](World& world) {
    Barrier barrier{kParties};
    auto unlucky = world.spawn_many(kParties - 1, [&](int) { EXPECT_THROW(barrier.wait(), BrokenBarrierError); });
    ASSERT_TRUE(soon_waiting(barrier, kParties - 1));
    barrier.reset();
    auto runners = world.spawn_many(kParties, [&](int) { EXPECT_NO_THROW(barrier.wait()); });
    join_all(runners);
    join_all(unlucky);
    EXPECT_FALSE(barrier.broken());
  });
}

TEST_P(BarrierConformance, ResetMendsABrokenOne) {
  in_world([](World& world) {
    Barrier barrier{2};
    barrier.abort();
    EXPECT_THROW(barrier.wait(), BrokenBarrierError);
    barrier.reset();
    EXPECT_FALSE(barrier.broken());
    Runner other = world.spawn([&] { EXPECT_NO_THROW(barrier.wait()); });
    EXPECT_NO_THROW(barrier.wait());
    EXPECT_EQ(other.join(), Ending::Returned);
  });
}

TEST_P(BarrierConformance, ADeadlineThatPassesBreaksItForAll) {
  in_world([](World& world) {
    Barrier barrier{kParties};
    auto runners = world.spawn_many(kParties - 2, [&](int) { EXPECT_THROW(barrier.wait(), BrokenBarrierError); });
    ASSERT_TRUE(soon_waiting(barrier, kParties - 2));
    EXPECT_THROW((void)barrier.wait_for(5ms), BrokenBarrierError);
    join_all(runners);
    EXPECT_TRUE(barrier.broken());
  });
}

TEST_P(BarrierConformance, AKillBreaksItForTheOthers) {
  in_world([](World& world) {
    Barrier barrier{kParties};
    Runner killed = world.spawn([&] { barrier.wait(); });
    ASSERT_TRUE(killed.soon_waits_in(WaitKind::Condition));
    auto runners = world.spawn_many(2, [&](int) { EXPECT_THROW(barrier.wait(), BrokenBarrierError); });
    ASSERT_TRUE(soon_waiting(barrier, 3));
    killed.kill();
    EXPECT_EQ(killed.join(), Ending::Cancelled);
    join_all(runners);
    EXPECT_TRUE(barrier.broken());
  });
}

TEST_P(BarrierConformance, ThoseWhoComeWhileTheActionRunsBelongToTheNextRound) {
  in_world([](World& world) {
    Event in_action;
    Event go_on;
    std::atomic<int> actions{0};
    Barrier barrier{2, [&] {
                      if (actions++ > 0) return;
                      in_action.set();
                      go_on.wait();
                    }};
    auto first = world.spawn_many(2, [&](int) { EXPECT_NO_THROW(barrier.wait()); });
    in_action.wait();
    auto second = world.spawn_many(2, [&](int) { EXPECT_NO_THROW(barrier.wait()); });
    ASSERT_TRUE(soon_all_wait_in(second, WaitKind::Condition));
    EXPECT_EQ(actions, 1);
    go_on.set();
    join_all(first);
    join_all(second);
    EXPECT_EQ(actions, 2);
  });
}

TEST_P(BarrierConformance, AbortAndResetDuringTheActionCountForItsRound) {
  in_world([](World& world) {
    for (const bool resets : {false, true}) {
      Barrier* self = nullptr;
      Barrier barrier{2, [&] { resets ? self->reset() : self->abort(); }};
      self = &barrier;
      auto runners = world.spawn_many(2, [&](int) { EXPECT_THROW(barrier.wait(), BrokenBarrierError); });
      join_all(runners);
      EXPECT_EQ(barrier.broken(), !resets);
      EXPECT_EQ(barrier.waiting(), 0u);
    }
  });
}

// Rounds that break at random moments: everybody of a round hears the same of it.
TEST_P(BarrierConformance, ARoundIsCompleteForAllOrForNobody) {
  in_world([](World& world) {
    const int turns = rounds(40);
    for (int turn = 0; turn < turns; ++turn) {
      Barrier barrier{3};
      std::atomic<int> complete{0};
      std::atomic<int> broken{0};
      const auto take_part = [&](auto wait) {
        try {
          wait();
          ++complete;
        } catch (const BrokenBarrierError&) {
          ++broken;
        }
      };
      auto runners = world.spawn_many(2, [&](int) { take_part([&] { barrier.wait(); }); });
      runners.push_back(world.spawn(
          [&, turn] { take_part([&] { (void)barrier.wait_for(std::chrono::microseconds(turn * 7 % 200)); }); }));
      if (turn % 3 == 0) barrier.abort();
      join_all(runners);
      EXPECT_EQ(complete + broken, 3);
      EXPECT_TRUE(complete == 3 || broken == 3) << complete << " complete, " << broken << " broken";
    }
  });
}

}  // namespace
}  // namespace weft::test
