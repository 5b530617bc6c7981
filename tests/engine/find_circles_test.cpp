#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "engine/deadlock.hpp"

// The search for circles alone, on graphs written by hand: who (by id) waits for whom.
namespace weft::detail {
namespace {

using Ids = std::vector<std::uint64_t>;

struct Edge {
  std::uint64_t who;
  Ids holders;
};

std::vector<Ids> circles_in(std::initializer_list<Edge> edges) {
  std::vector<SeenWait> waits;
  for (const Edge& edge : edges) {
    waits.emplace_back();
    waits.back().id = edge.who;
    waits.back().holders = edge.holders;
  }
  std::vector<Ids> circles;
  for (const auto& circle : find_circles(waits)) {
    Ids ids;
    for (const std::size_t at : circle) ids.push_back(waits[at].id);
    std::sort(ids.begin(), ids.end());
    circles.push_back(ids);
  }
  std::sort(circles.begin(), circles.end());
  return circles;
}

using Circles = std::vector<Ids>;

TEST(FindCircles, NobodyWaits) { EXPECT_EQ(circles_in({}), Circles{}); }

TEST(FindCircles, AChainEndsAtOneThatRuns) { EXPECT_EQ(circles_in({{1, {2}}, {2, {3}}, {3, {4}}}), Circles{}); }

TEST(FindCircles, OneThatWaitsForItself) { EXPECT_EQ(circles_in({{1, {1}}}), (Circles{{1}})); }

TEST(FindCircles, TwoThatWaitForEachOther) { EXPECT_EQ(circles_in({{1, {2}}, {2, {1}}}), (Circles{{1, 2}})); }

TEST(FindCircles, WhoeverWaitsForACircleIsNoPartOfIt) {
  EXPECT_EQ(circles_in({{9, {8}}, {8, {1}}, {1, {2}}, {2, {3}}, {3, {1}}, {7, {3}}}), (Circles{{1, 2, 3}}));
}

TEST(FindCircles, SeveralCircles) {
  EXPECT_EQ(circles_in({{1, {2}}, {2, {1}}, {5, {6}}, {6, {7}}, {7, {5}}, {4, {4}}, {8, {1}}, {9, {10}}}),
            (Circles{{1, 2}, {4}, {5, 6, 7}}));
}

TEST(FindCircles, OneHolderThatRunsIsEnoughToHopeFor) {
  EXPECT_EQ(circles_in({{1, {2, 3}}, {2, {1}}}), Circles{});
  EXPECT_EQ(circles_in({{1, {3, 2}}, {2, {1}}}), Circles{});
}

TEST(FindCircles, AllHoldersStuckIsACircle) {
  const Circles circles = circles_in({{1, {2, 3}}, {2, {1}}, {3, {1}}});
  ASSERT_EQ(circles.size(), 1U);
  EXPECT_TRUE(std::find(circles[0].begin(), circles[0].end(), 1U) != circles[0].end());
}

TEST(FindCircles, HopeSpreadsBackwards) {
  // 4 runs, so that 3 may go on, so 2, so 1: the circle 1-2 has a way out.
  EXPECT_EQ(circles_in({{1, {2}}, {2, {1, 3}}, {3, {4}}}), Circles{});
}

TEST(FindCircles, AHundredThousandInARow) {
  std::vector<SeenWait> waits(100'000);
  for (std::size_t i = 0; i < waits.size(); ++i) {
    waits[i].id = i + 1;
    waits[i].holders = {(i + 1) % waits.size() + 1};
  }
  const auto circles = find_circles(waits);
  ASSERT_EQ(circles.size(), 1U);
  EXPECT_EQ(circles[0].size(), waits.size());
}

}  // namespace
}  // namespace weft::detail
