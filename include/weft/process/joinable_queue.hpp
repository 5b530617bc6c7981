#pragma once

#include <chrono>
#include <cstddef>
#include <source_location>

#include <weft/detail/queue_handle.hpp>

namespace weft::process {

/// A process::Queue that knows when all that was put has been dealt with, too.
///
/// Semantics:     after Python multiprocessing.JoinableQueue. An item that was put is a task; it is done when somebody
///                has called task_done() for it. The task of a process that died before it said so is never done:
///                join() then waits for ever (join_for() does not).
/// All else:      as Queue.
template <class T>
class JoinableQueue : public detail::BoundedQueueHandle<T> {
 public:
  /// `maxsize` 0: unbounded. `name` appears in reports and must outlive the handle: a literal. Throws: OSError.
  explicit JoinableQueue(std::size_t maxsize = 0, const char* name = nullptr,
                         std::source_location site = std::source_location::current())
      : detail::BoundedQueueHandle<T>{'j', maxsize, Label{name, site}} {}

  /// Says that one item that was taken has been dealt with. Throws: InvalidStateError when called more often than put.
  void task_done() { this->bytes("count tasks of").task_done(); }

  /// Waits until every item that was put has been followed by a task_done(). Cancellable, as get().
  void join() { (void)join_until(Deadline::never()); }
  template <class Rep, class Period>
  [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> timeout) {
    return join_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool join_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return join_until(Deadline::at(point));
  }
  [[nodiscard]] bool join_until(Deadline deadline) { return this->bytes("join").join(deadline); }

 private:
  friend struct Transfer<JoinableQueue>;
  explicit JoinableQueue(Incoming& in) : detail::BoundedQueueHandle<T>{'j', in} {}
};

template <class T>
struct Transfer<JoinableQueue<T>> {
  static void send(Outgoing& out, const JoinableQueue<T>& queue) { queue.send_to(out); }
  static JoinableQueue<T> receive(Incoming& in) { return JoinableQueue<T>{in}; }
};

}  // namespace weft::process
