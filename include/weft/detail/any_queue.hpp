#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/detail/queue_cases.hpp>
#include <weft/detail/queue_core.hpp>

namespace weft::detail {

/// What Queue, LifoQueue and PriorityQueue offer alike: all but the forms of put. For its promises see Queue.
template <class Store>
class AnyQueue {
 public:
  using Value = typename Store::Value;

  AnyQueue(const AnyQueue&) = delete;
  AnyQueue& operator=(const AnyQueue&) = delete;

  /// Waits for an item. Throws: ShutDown when none will come.
  Value get() {
    if constexpr (std::is_nothrow_move_constructible_v<Value>) {
      std::optional<Value> item = core_.get(Deadline::never(), MayWait::Yes);
      if (!item) throw_queue_shut_down("get from");
      return std::move(*item);
    } else {
      return core_.take();
    }
  }
  /// Nothing: no item, now or in time, or none will come.
  [[nodiscard]] std::optional<Value> try_get() { return core_.get(Deadline::already(), MayWait::No); }
  template <class Rep, class Period>
  [[nodiscard]] std::optional<Value> get_for(std::chrono::duration<Rep, Period> timeout) {
    return get_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] std::optional<Value> get_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return get_until(Deadline::at(point));
  }
  [[nodiscard]] std::optional<Value> get_until(Deadline deadline) { return core_.get(deadline, MayWait::Yes); }

  /// A case of select(): takes an item if chosen, and calls callable(item). A queue that is shut down and empty is
  /// ready, too: select() then throws ShutDown, or calls `at_end()` if there is one.
  template <class... Callables>
  [[nodiscard]] auto on_get(Callables... callable_and_at_end) {
    return QueueGetCase<Store, detail::Callables<Callables...>>{{std::move(callable_and_at_end)...}, core_};
  }

  /// A moment's truth, all three.
  [[nodiscard]] std::size_t qsize() const noexcept { return core_.size(); }
  [[nodiscard]] bool empty() const noexcept { return qsize() == 0; }
  [[nodiscard]] bool full() const noexcept { return maxsize() != 0 && qsize() >= maxsize(); }
  [[nodiscard]] std::size_t maxsize() const noexcept { return core_.maxsize(); }
  [[nodiscard]] const char* name() const noexcept { return core_.name(); }

  /// Says that one item that was taken has been dealt with. Throws: InvalidStateError when called more often than put.
  void task_done() { core_.task_done(); }

  /// Waits until every item that was put has been followed by a task_done().
  void join() { (void)join_until(Deadline::never()); }
  template <class Rep, class Period>
  [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> timeout) {
    return join_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool join_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return join_until(Deadline::at(point));
  }
  [[nodiscard]] bool join_until(Deadline deadline) { return core_.join(deadline); }

  /// No further put. Gentle: items that are in the queue may still be taken. Immediate: they are dropped, and count as
  /// done.
  void shutdown(bool immediate = false) { core_.shutdown(immediate); }
  [[nodiscard]] bool is_shut_down() const noexcept { return core_.is_shut_down(); }

 protected:
  using Core = QueueCore<Store>;
  using MayWait = typename Core::MayWait;
  using Source = typename Store::Source;

  template <class... StoreArgs>
  AnyQueue(std::size_t maxsize, Label label, StoreArgs&&... args)
      : core_{maxsize, label, std::forward<StoreArgs>(args)...} {}
  ~AnyQueue() = default;

  bool put_source(Source source, Deadline deadline, MayWait may_wait) { return core_.put(source, deadline, may_wait); }
  bool put_source_as(const Wait& as, Source source) { return core_.put(source, Deadline::never(), MayWait::Yes, &as); }
  [[nodiscard]] Core& core() noexcept { return core_; }

 private:
  Core core_;
};

}  // namespace weft::detail
