#include <weft/queue/priority_queue.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/stress.hpp"

namespace weft::test {
namespace {

template <class Q>
std::string drain_text(Q& queue) {
  std::string text;
  while (auto got = queue.try_get()) text += got->item;
  return text;
}

TEST(PriorityQueue, EqualPrioritiesKeepTheirOrder) {
  PriorityQueue<std::string> queue;
  for (const char* item : {"b1", "b2", "b3"}) queue.put(2, item);
  for (const char* item : {"a1", "a2"}) queue.put(1, item);
  queue.put(2, "b4");
  EXPECT_EQ(drain_text(queue), "a1a2b1b2b3b4");

  // A long run against a stable sort.
  PriorityQueue<int> numbers;
  std::vector<std::pair<int, int>> expected;
  Random random{1};
  int next = 0;
  for (int round = 0; round < 200; ++round) {
    for (std::uint32_t puts = random.below(8); puts > 0; --puts) {
      const int priority = static_cast<int>(random.below(5));
      numbers.put(priority, next);
      expected.emplace_back(priority, next++);
    }
    for (std::uint32_t gets = random.below(7); gets > 0 && !expected.empty(); --gets) {
      const auto least = std::min_element(expected.begin(), expected.end());
      const auto [priority, number] = numbers.get();
      ASSERT_EQ((std::pair{priority, number}), *least);
      expected.erase(least);
    }
  }
  EXPECT_EQ(numbers.qsize(), expected.size());
}

TEST(PriorityQueue, NeverComparesItems) {
  struct NoOrder {
    std::unique_ptr<int> value;
  };
  PriorityQueue<NoOrder> queue;
  queue.put(1, {std::make_unique<int>(1)});
  queue.put(1, {std::make_unique<int>(2)});
  auto [priority, item] = queue.get();
  EXPECT_EQ(priority, 1);
  EXPECT_EQ(*item.value, 1);
}

TEST(PriorityQueue, TakesAnyPriorityAndAnyOrder) {
  PriorityQueue<std::string, double, std::greater<>> greatest_first;
  greatest_first.put(0.5, "c");
  greatest_first.put(2.5, "a");
  greatest_first.put(1.5, "b");
  EXPECT_EQ(drain_text(greatest_first), "abc");

  // An order that knows something.
  int compared = 0;
  const auto by_length = [&compared](const std::string& a, const std::string& b) {
    ++compared;
    return a.size() < b.size();
  };
  PriorityQueue<std::string, std::string, decltype(by_length)> queue{by_length};
  for (const char* word : {"three", "a", "no", "x"}) queue.put(word, word);
  EXPECT_EQ(drain_text(queue), "axnothree");
  EXPECT_GT(compared, 0);
}

TEST(PriorityQueue, ATimedOutPutLeavesTheItemWithTheCaller) {
  PriorityQueue<std::unique_ptr<int>> queue{1};
  queue.put(1, nullptr);
  auto item = std::make_unique<int>(2);
  EXPECT_FALSE(queue.try_put(0, std::move(item)));
  EXPECT_FALSE(queue.put_for(0, std::move(item), std::chrono::milliseconds{2}));
  ASSERT_NE(item, nullptr);
  queue.shutdown();
  EXPECT_THROW((void)queue.try_put(0, std::move(item)), ShutDown);
  EXPECT_NE(item, nullptr);
}

/// Compares until it is told to throw.
struct Moody {
  int* left;
  bool operator()(int a, int b) const {
    if (*left >= 0 && (*left)-- == 0) throw std::runtime_error{"cannot say"};
    return a < b;
  }
};

TEST(PriorityQueue, AComparatorThatThrowsChangesNothing) {
  int left = -1;
  PriorityQueue<int, int, Moody> queue{Moody{&left}};
  std::vector<int> expected;
  for (int i = 0; i < 60; ++i) {
    const int priority = i * 37 % 61;
    for (left = 0; left < 3;) {
      const int before = left;
      const bool threw = [&] {
        try {
          int item = priority;
          (void)queue.try_put(priority, std::move(item));
        } catch (const std::runtime_error&) {
          return true;
        }
        return false;
      }();
      if (!threw) {
        expected.push_back(priority);
        break;
      }
      ASSERT_EQ(queue.qsize(), expected.size());
      left = before + 1;
    }
    left = -1;
  }
  std::sort(expected.begin(), expected.end());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    left = static_cast<int>(i % 4);
    try {
      const auto got = queue.get();
      left = -1;
      ASSERT_EQ(got.priority, expected[i]);
      continue;
    } catch (const std::runtime_error&) {
    }
    left = -1;
    ASSERT_EQ(queue.qsize(), expected.size() - i);
    ASSERT_EQ(queue.get().priority, expected[i]);
  }
}

}  // namespace
}  // namespace weft::test
