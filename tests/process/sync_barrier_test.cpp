#include <weft/process/barrier.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include <weft/base/error.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"
#include "sync_child.hpp"
#include "sync_sent.hpp"

namespace weft::test {
namespace {

constexpr std::uint32_t kParties = 5;

class ProcessBarrier : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(ProcessBarrier);

bool soon_waiting(const process::Barrier& barrier, std::uint32_t count) {
  return eventually([&] { return barrier.waiting() == count; });
}

std::atomic<int> actions{0};

TEST_P(ProcessBarrier, LetsAllThroughOnceAllHaveComeEachWithItsPlace) {
  in_world([](World& world) {
    actions = 0;
    process::Barrier barrier{kParties, [] { ++actions; }, "start"};
    EXPECT_EQ(barrier.parties(), kParties);
    EXPECT_EQ(sent(barrier).parties(), kParties);
    EXPECT_STREQ(sent(barrier).name(), "start");
    std::vector<Runner> runners;
    for (std::uint32_t i = 0; i + 1 < kParties; ++i) {
      runners.push_back(world.spawn([&, i] {
        EXPECT_EQ(barrier.wait(), i);
        EXPECT_EQ(actions, 1);
      }));
      ASSERT_TRUE(soon_waiting(barrier, i + 1));
    }
    EXPECT_EQ(actions, 0);
    EXPECT_EQ(sent(barrier).wait(), kParties - 1);
    join_all(runners);
    EXPECT_EQ(barrier.waiting(), 0u);
    EXPECT_FALSE(barrier.broken());
    EXPECT_THROW(process::Barrier{0}, InvalidStateError);
    EXPECT_THROW(process::Barrier{process::Barrier::most_parties() + 1}, InvalidStateError);
  });
}

TEST_P(ProcessBarrier, NobodyIsARoundAhead) {
  in_world([](World& world) {
    process::Barrier barrier{kParties};
    std::atomic<long> arrivals{0};
    const int turns = rounds(50);
    std::vector<std::atomic<int>> places(kParties);
    auto runners = world.spawn_many(kParties, [&](int) {
      for (int turn = 1; turn <= turns; ++turn) {
        ++arrivals;
        ++places[barrier.wait()];
        EXPECT_GE(arrivals, static_cast<long>(kParties) * turn);
        EXPECT_LE(arrivals, static_cast<long>(kParties) * (turn + 1));
      }
    });
    join_all(runners);
    for (const auto& place : places) EXPECT_EQ(place, turns);
  });
}

TEST_P(ProcessBarrier, MoreContextsThanPartiesTakeTurns) {
  in_world([](World& world) {
    process::Barrier barrier{2};
    std::atomic<int> through{0};
    auto runners = world.spawn_many(16, [&](int) {
      try {
        for (;;) {
          barrier.wait();
          ++through;
        }
      } catch (const BrokenBarrierError&) {
      }
    });
    EXPECT_TRUE(eventually([&] { return through >= rounds(300); }));
    EXPECT_FALSE(barrier.broken());
    barrier.abort();
    join_all(runners);
  });
}

TEST_P(ProcessBarrier, AnActionThatThrowsBreaksIt) {
  in_world([](World& world) {
    process::Barrier barrier{2, [] { throw std::runtime_error{"no"}; }};
    Runner other = world.spawn([&] { EXPECT_THROW(barrier.wait(), BrokenBarrierError); });
    ASSERT_TRUE(soon_waiting(barrier, 1));
    EXPECT_THROW(barrier.wait(), std::runtime_error);
    EXPECT_EQ(other.join(), Ending::Returned);
    EXPECT_TRUE(barrier.broken());
    EXPECT_THROW(barrier.wait(), BrokenBarrierError);
  });
}

TEST_P(ProcessBarrier, ADeadlineOrAKillBreaksItForAll) {
  in_world([](World& world) {
    process::Barrier barrier{3};
    Runner other = world.spawn([&] { EXPECT_THROW(barrier.wait(), BrokenBarrierError); });
    ASSERT_TRUE(soon_waiting(barrier, 1));
    EXPECT_THROW(barrier.wait_for(5ms), BrokenBarrierError);
    EXPECT_EQ(other.join(), Ending::Returned);
    EXPECT_THROW(barrier.wait(), BrokenBarrierError);
    barrier.reset();
    EXPECT_FALSE(barrier.broken());
    Runner killed = world.spawn([&] { barrier.wait(); });
    other = world.spawn([&] { EXPECT_THROW(barrier.wait(), BrokenBarrierError); });
    ASSERT_TRUE(soon_waiting(barrier, 2));
    killed.kill();
    EXPECT_EQ(killed.join(), Ending::Cancelled);
    EXPECT_EQ(other.join(), Ending::Returned);
    EXPECT_TRUE(barrier.broken());
  });
}

TEST_P(ProcessBarrier, ResetEndsTheRoundAbortBreaksIt) {
  in_world([](World& world) {
    process::Barrier barrier{2};
    Runner one = world.spawn([&] { EXPECT_THROW(barrier.wait(), BrokenBarrierError); });
    ASSERT_TRUE(soon_waiting(barrier, 1));
    barrier.reset();
    EXPECT_EQ(one.join(), Ending::Returned);
    one = world.spawn([&] { barrier.wait(); });
    barrier.wait();
    EXPECT_EQ(one.join(), Ending::Returned);
    one = world.spawn([&] { EXPECT_THROW(barrier.wait(), BrokenBarrierError); });
    ASSERT_TRUE(soon_waiting(barrier, 1));
    barrier.abort();
    EXPECT_EQ(one.join(), Ending::Returned);
    EXPECT_TRUE(barrier.broken());
  });
}

TEST(ProcessBarrierAmongProcesses, ProcessesGoInStep) {
  constexpr int kProcesses = 4;
  constexpr int kTurns = 100;
  process::Barrier barrier{kProcesses};
  const InSharedMemory<std::atomic<int>> arrivals;
  std::vector<Child> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.emplace_back([&] {
      for (int turn = 1; turn <= kTurns; ++turn) {
        ++*arrivals;
        barrier.wait();
        if (*arrivals < kProcesses * turn || *arrivals > kProcesses * (turn + 1)) return false;
      }
      return true;
    });
  }
  for (Child& child : children) EXPECT_EQ(child.join(), 0);
}

TEST(ProcessBarrierAmongProcesses, IsSentWithItsAction) {
  Parcels way;
  Child child{[&] {
    auto barrier = way.receive<process::Barrier>();
    actions = 0;
    const auto place = barrier.wait();
    return place == 1 ? actions == 1 : actions == 0;
  }};
  actions = 0;
  process::Barrier barrier{2, [] { ++actions; }};
  way.send(barrier);
  ASSERT_TRUE(soon_waiting(barrier, 1));  // so that we are the last
  EXPECT_EQ(barrier.wait(), 1u);
  EXPECT_EQ(actions, 1);
  EXPECT_EQ(child.join(), 0);
}

TEST(ProcessBarrierAmongProcesses, ThePartyThatDiesWhileItWaitsBreaksIt) {
  process::Barrier barrier{3};
  Child killed{[&] {
    barrier.wait();
    return false;
  }};
  ASSERT_TRUE(soon_waiting(barrier, 1));
  Child other{[&] {
    try {
      barrier.wait();
    } catch (const BrokenBarrierError&) {
      return true;
    }
    return false;
  }};
  ASSERT_TRUE(soon_waiting(barrier, 2));
  killed.kill();
  EXPECT_EQ(other.join(), 0);
  EXPECT_TRUE(barrier.broken());
  barrier.reset();
  EXPECT_EQ(barrier.waiting(), 0u);
}

TEST(ProcessBarrierAmongProcesses, TheDeathOfWhoRunsTheActionBreaksIt) {
  process::Barrier barrier{2, [] { ::kill(::getpid(), SIGKILL); }};
  Child other{[&] {
    try {
      barrier.wait();
    } catch (const BrokenBarrierError&) {
      return true;
    }
    return false;
  }};
  ASSERT_TRUE(soon_waiting(barrier, 1));
  Child last{[&] {
    barrier.wait();
    return true;
  }};
  EXPECT_EQ(last.join(), 128 + SIGKILL);
  EXPECT_EQ(other.join(), 0);
  EXPECT_TRUE(barrier.broken());
}

}  // namespace
}  // namespace weft::test
