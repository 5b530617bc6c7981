#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <weft/queue/lifo_queue.hpp>
#include <weft/queue/priority_queue.hpp>
#include <weft/queue/queue.hpp>

#include "support/world.hpp"

namespace weft::test {

/// The kinds of bounded queue, used in one way. Items are ints, or what an int makes; the priority is the item itself.
struct Fifo {
  template <class T>
  using Of = Queue<T>;

  template <class T>
  static void put(Queue<T>& queue, int item) {
    queue.put(T(item));
  }
  template <class T>
  static bool try_put(Queue<T>& queue, int item) {
    return queue.try_put(T(item));
  }
  template <class T>
  static bool put_for(Queue<T>& queue, int item, Duration timeout) {
    return queue.put_for(T(item), timeout);
  }
  template <class T>
  static auto on_put(Queue<T>& queue, int item, auto... callables) {
    return queue.on_put(item, std::move(callables)...);
  }
  template <class T>
  static T& item(T& got) {
    return got;
  }
  /// The order in which these, put one after the other, are taken.
  static std::vector<int> order(std::vector<int> items) { return items; }
};

struct Lifo {
  template <class T>
  using Of = LifoQueue<T>;

  template <class T>
  static void put(LifoQueue<T>& queue, int item) {
    queue.put(T(item));
  }
  template <class T>
  static bool try_put(LifoQueue<T>& queue, int item) {
    return queue.try_put(T(item));
  }
  template <class T>
  static bool put_for(LifoQueue<T>& queue, int item, Duration timeout) {
    return queue.put_for(T(item), timeout);
  }
  template <class T>
  static auto on_put(LifoQueue<T>& queue, int item, auto... callables) {
    return queue.on_put(item, std::move(callables)...);
  }
  template <class T>
  static T& item(T& got) {
    return got;
  }
  static std::vector<int> order(std::vector<int> items) {
    std::reverse(items.begin(), items.end());
    return items;
  }
};

struct ByPriority {
  template <class T>
  using Of = PriorityQueue<T>;

  template <class T>
  static void put(PriorityQueue<T>& queue, int item) {
    queue.put(item, T(item));
  }
  template <class T>
  static bool try_put(PriorityQueue<T>& queue, int item) {
    return queue.try_put(item, T(item));
  }
  template <class T>
  static bool put_for(PriorityQueue<T>& queue, int item, Duration timeout) {
    return queue.put_for(item, T(item), timeout);
  }
  template <class T>
  static auto on_put(PriorityQueue<T>& queue, int item, auto... callables) {
    return queue.on_put(item, item, std::move(callables)...);
  }
  template <class T>
  static T& item(Prioritized<T>& got) {
    return got.item;
  }
  static std::vector<int> order(std::vector<int> items) {
    std::sort(items.begin(), items.end());
    return items;
  }
};

/// The items of one get after the other until there is none.
template <class Kind, class Q>
std::vector<int> drain(Q& queue) {
  std::vector<int> items;
  while (auto got = queue.try_get()) items.push_back(Kind::item(*got));
  return items;
}

// Put into every world once, in conformance_test.cpp.
class FifoConformance : public InEveryWorld {};
class LifoConformance : public InEveryWorld {};
class PriorityConformance : public InEveryWorld {};

/// A test for every kind of queue in every world: the body that follows is a template of `Kind` that gets a `world`.
#define WEFT_QUEUE_TEST(name)                                     \
  template <class Kind>                                           \
  void name(World& world);                                        \
  TEST_P(FifoConformance, name) { in_world(name<Fifo>); }         \
  TEST_P(LifoConformance, name) { in_world(name<Lifo>); }         \
  TEST_P(PriorityConformance, name) { in_world(name<ByPriority>); } \
  template <class Kind>                                           \
  void name([[maybe_unused]] World& world)

}  // namespace weft::test
