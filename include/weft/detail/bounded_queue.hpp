#pragma once

#include <chrono>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/detail/any_queue.hpp>

namespace weft::detail {

/// What is put into a Queue or a LifoQueue: one item.
template <class T, class Store>
class BoundedQueue : public AnyQueue<Store> {
  using typename AnyQueue<Store>::MayWait;

 public:
  /// Waits for room. Throws: ShutDown; the item is lost with the argument then.
  void put(T item) { (void)this->put_source(&item, Deadline::never(), MayWait::Yes); }
  /// False: no room, now or in time; `item` is untouched. Throws: ShutDown.
  [[nodiscard]] bool try_put(T&& item) { return this->put_source(&item, Deadline::already(), MayWait::No); }
  template <class Rep, class Period>
  [[nodiscard]] bool put_for(T&& item, std::chrono::duration<Rep, Period> timeout) {
    return put_until(std::move(item), Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool put_until(T&& item, std::chrono::time_point<AnyClock, AnyDuration> point) {
    return put_until(std::move(item), Deadline::at(point));
  }
  [[nodiscard]] bool put_until(T&& item, Deadline deadline) { return this->put_source(&item, deadline, MayWait::Yes); }

  /// A case of select(): puts the item if chosen, and calls callable(). An item that is moved in stays where it is,
  /// untouched, unless chosen: it must live until then. Any other is copied or converted first. A queue that is shut
  /// down is ready, too: select() then throws ShutDown, or calls `at_end()` if there is one.
  template <class U, class... Callables>
  [[nodiscard]] auto on_put(U&& item, Callables... callable_and_at_end) {
    return QueuePutCase<Store, Offered<T, U&&>, detail::Callables<Callables...>>{
        {std::move(callable_and_at_end)...}, this->core(), Offered<T, U&&>{std::forward<U>(item)}};
  }

 protected:
  using AnyQueue<Store>::AnyQueue;
  ~BoundedQueue() = default;
};

}  // namespace weft::detail
