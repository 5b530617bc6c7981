// What the looks of several processes prove, and what they do not.

#include "process/deadlock/family_graph.hpp"

#include <cstdio>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace weft::test {
namespace {

using detail::FarHolder;
using process::detail::FamilyGraph;
using process::detail::kStampPidShift;
using process::detail::kStampStartShift;
using process::detail::ProcessStamp;
using process::detail::Told;
using process::detail::ToldWait;

constexpr ProcessStamp stamp(std::uint64_t pid, std::uint64_t start) { return pid << kStampPidShift | start << kStampStartShift; }
constexpr ProcessStamp kParent = stamp(10, 1), kChild = stamp(20, 2), kOther = stamp(30, 3);

/// A process that has looked every 100 up to a time, each time for 10.
Told process_that_looked_until(std::int64_t time, ProcessStamp process) {
  Told told;
  told.process = process;
  for (std::size_t i = 0; i < Told::kLooks; ++i) {
    const std::int64_t begin = time - 100 * static_cast<std::int64_t>(i);
    told.looks[i] = {begin, begin + 10};
  }
  return told;
}

Told& waits(Told& told, std::uint64_t context, std::int64_t since, const std::vector<FarHolder>& holders) {
  ToldWait wait{.context = context, .epoch = 1, .since = since, .seen_from = since + 60, .can_throw = context != 0};
  wait.first_holder = static_cast<std::uint32_t>(told.holders.size());
  wait.holders = static_cast<std::uint32_t>(holders.size());
  told.holders.insert(told.holders.end(), holders.begin(), holders.end());
  std::snprintf(wait.who, sizeof wait.who, "context %d", static_cast<int>(context));
  told.waits.push_back(wait);
  return told;
}

/// Context 1 of each waits for that of the other.
FamilyGraph two_in_a_circle(std::int64_t parent_looked, std::int64_t parent_since, std::int64_t child_looked, std::int64_t child_since) {
  Told parent = process_that_looked_until(parent_looked, kParent);
  Told child = process_that_looked_until(child_looked, kChild);
  waits(parent, 1, parent_since, {{kChild, 1}});
  waits(child, 1, child_since, {{kParent, 1}});
  return FamilyGraph{{parent, child}};
}

TEST(FamilyGraphs, ProveACircleWhenAllWereSeenInItBetweenLooksOfAll) {
  const FamilyGraph graph = two_in_a_circle(1000, 500, 1050, 600);
  const auto knots = graph.knots();
  ASSERT_EQ(knots.size(), 1u);
  EXPECT_EQ(graph.proved_until(knots[0]), 1000);
  EXPECT_EQ(graph.told_by(graph.victim(knots[0])).process, kChild) << "it blocked last";
}

TEST(FamilyGraphs, ProveNothingWhenOneWasNotSeenTwice) {
  const FamilyGraph graph = two_in_a_circle(1000, 500, 1050, 990);
  ASSERT_EQ(graph.knots().size(), 1u);
  EXPECT_EQ(graph.proved_until(graph.knots()[0]), 0);
}

TEST(FamilyGraphs, ProveNothingWhenNobodyLookedAtTheHoldersMeanwhile) {
  // Together in their waits from 960 to 1000; the looks of the parent within that time: none.
  const FamilyGraph graph = two_in_a_circle(1000, 500, 1050, 900);
  ASSERT_EQ(graph.knots().size(), 1u);
  EXPECT_EQ(graph.proved_until(graph.knots()[0]), 0);
}

TEST(FamilyGraphs, ProveNothingWithWhatOneToldBeforeTheOtherBlocked) {
  const FamilyGraph graph = two_in_a_circle(1000, 100, 9000, 5000);
  ASSERT_EQ(graph.knots().size(), 1u);
  EXPECT_EQ(graph.proved_until(graph.knots()[0]), 0);
}

TEST(FamilyGraphs, TakeAJoinForAWaitForAllOfTheChild) {
  Told parent = process_that_looked_until(1000, kParent);
  waits(parent, 1, 500, {{stamp(20, 0), 0}});
  Told child = process_that_looked_until(1000, kChild);
  waits(child, 1, 300, {{kParent, 1}});
  EXPECT_TRUE(FamilyGraph({parent, child}).knots().empty()) << "somebody in the child may go on";
  Told whole = child;
  waits(whole, 0, 300, {{kChild, 1}});
  const FamilyGraph graph{{parent, whole}};
  ASSERT_EQ(graph.knots().size(), 1u);
  const auto found = graph.describe(graph.knots()[0], graph.victim(graph.knots()[0]));
  EXPECT_EQ(found.headline, "2 contexts of 2 processes wait for each other");
  EXPECT_EQ(found.members[0].holders, "context 1 of process (pid 20)") << "the end of a process is no context";
}

TEST(FamilyGraphs, AreStuckInAPoolOnlyWithAllItsWorkers) {
  Told parent = process_that_looked_until(1000, kParent);
  waits(parent, 1, 500, {{stamp(20, 0), 0}, {stamp(30, 0), 0}});
  Told one = process_that_looked_until(1000, kChild);
  waits(waits(one, 1, 300, {{kParent, 1}}), 0, 300, {{kChild, 1}});
  EXPECT_TRUE(FamilyGraph({parent, one}).knots().empty());
  Told other = process_that_looked_until(1000, kOther);
  waits(waits(other, 1, 300, {{kParent, 1}}), 0, 300, {{kOther, 1}});
  const FamilyGraph graph{{parent, one, other}};
  ASSERT_EQ(graph.knots().size(), 1u);
  EXPECT_EQ(graph.members(graph.knots()[0]).size(), 3u);
}

TEST(FamilyGraphs, TellAProcessFromOneThatHadItsNumber) {
  Told parent = process_that_looked_until(1000, kParent);
  waits(parent, 1, 500, {{stamp(20, 1), 1}});  // a lock whose owner is dead
  Told child = process_that_looked_until(1000, kChild);
  waits(child, 1, 600, {{kParent, 1}});
  EXPECT_TRUE(FamilyGraph({parent, child}).knots().empty());
}

TEST(FamilyGraphs, LeaveCirclesOfOneProcessToIt) {
  Told parent = process_that_looked_until(1000, kParent);
  waits(waits(parent, 1, 500, {{kParent, 2}}), 2, 500, {{kParent, 1}});
  EXPECT_TRUE(FamilyGraph({parent}).knots().empty());
}

TEST(FamilyGraphs, ChooseAVictimThatMayThrow) {
  Told parent = process_that_looked_until(1000, kParent);
  Told child = process_that_looked_until(1000, kChild);
  waits(parent, 1, 500, {{kChild, 1}});
  waits(child, 1, 600, {{kParent, 1}}).waits[0].can_throw = false;
  const FamilyGraph graph{{parent, child}};
  EXPECT_EQ(graph.told_by(graph.victim(graph.knots().at(0))).process, kParent);
}

}  // namespace
}  // namespace weft::test
