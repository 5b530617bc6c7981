#pragma once

#include <chrono>
#include <cstddef>
#include <source_location>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/detail/any_queue.hpp>
#include <weft/detail/heap_store.hpp>

namespace weft {

namespace detail {
/// std::less<Priority>, without <functional>.
struct Less {
  template <class Priority>
  bool operator()(const Priority& a, const Priority& b) const {
    return a < b;
  }
};
}  // namespace detail

/// What a PriorityQueue gives: `auto [priority, item] = queue.get();`
template <class T, class Priority = int>
struct Prioritized {
  Priority priority;
  T item;
};

/// Smallest priority first; equal priorities in the order of their coming.
///
///     weft::PriorityQueue<Job> jobs{20};
///     jobs.put(2, job);
///     auto [priority, next] = jobs.get();
///
/// Semantics:     after Python queue.PriorityQueue; differs: the priority is an argument of its own, so that items are
///                never compared and need no order; equal priorities keep their order; `Compare` may be any order,
///                greatest first for example: PriorityQueue<Job, double, std::greater<>>.
/// Priority:      copyable. Copied and compared inside the queue: neither may block nor use the same queue. If one
///                throws, the exception reaches the caller, and nothing has changed.
/// Cost:          a put and a get of n items compare about log2(n) and 2 log2(n) times.
/// Everything else is as in Queue.
template <class T, class Priority = int, class Compare = detail::Less>
class PriorityQueue : public detail::AnyQueue<detail::HeapStore<Prioritized<T, Priority>, Compare>> {
  using Store = detail::HeapStore<Prioritized<T, Priority>, Compare>;
  using Base = detail::AnyQueue<Store>;
  using typename Base::MayWait;

 public:
  /// `maxsize` 0: unbounded. `name` appears in reports and must outlive the queue: a literal.
  explicit PriorityQueue(std::size_t maxsize = 0, const char* name = nullptr,
                         std::source_location site = std::source_location::current())
      : Base{maxsize, {name, site}} {}
  /// With a comparator that knows something.
  explicit PriorityQueue(Compare compare, std::size_t maxsize = 0, const char* name = nullptr,
                         std::source_location site = std::source_location::current())
      : Base{maxsize, {name, site}, std::move(compare)} {}

  /// Waits for room. Throws: ShutDown; the item is lost with the argument then.
  void put(const Priority& priority, T item) {
    (void)this->put_source({&priority, &item}, Deadline::never(), MayWait::Yes);
  }
  /// False: no room, now or in time; `item` is untouched. Throws: ShutDown.
  [[nodiscard]] bool try_put(const Priority& priority, T&& item) {
    return this->put_source({&priority, &item}, Deadline::already(), MayWait::No);
  }
  template <class Rep, class Period>
  [[nodiscard]] bool put_for(const Priority& priority, T&& item, std::chrono::duration<Rep, Period> timeout) {
    return put_until(priority, std::move(item), Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool put_until(const Priority& priority, T&& item,
                               std::chrono::time_point<AnyClock, AnyDuration> point) {
    return put_until(priority, std::move(item), Deadline::at(point));
  }
  [[nodiscard]] bool put_until(const Priority& priority, T&& item, Deadline deadline) {
    return this->put_source({&priority, &item}, deadline, MayWait::Yes);
  }

  /// A case of select(): puts the item if chosen; see Queue's. The priority is copied.
  template <class U, class... Callables>
  [[nodiscard]] auto on_put(Priority priority, U&& item, Callables... callables) {
    using Item = detail::Offered<T, U&&>;
    return detail::QueuePutCase<Store, detail::PrioritizedOffer<typename Store::Source, Priority, Item>,
                                detail::Callables<Callables...>>{
        {std::move(callables)...}, this->core(), {std::move(priority), Item{std::forward<U>(item)}}};
  }
};

}  // namespace weft
