#pragma once

#include <chrono>
#include <cstddef>
#include <source_location>

#include <weft/detail/queue_handle.hpp>

namespace weft::process {

/// A process::Queue that knows when all that was put has been dealt with, too.
///
/// Semantics:     after Python multiprocessing.JoinableQueue. An item that was put is a task; it is done when somebody
///                has called task_done() for it.
/// Death:         of a process that ends with tasks that it has taken, killed or not, those are never done. When nothing else is left
///                to be done join() throws TasksLost, where Python's waits for ever: as soon as the process has ended if join() has
///                waited for some 20 ms, else in at most 0.1 s. It does so again until somebody, who has no task in hand himself, calls
///                task_done() in the dead one's place. Who passes what he has taken to another process, to be done and counted
///                there, must not end before join() has returned, and while it lives what others lose is not noticed. Nor is it once
///                more than 64 living processes have taken tasks.
/// All else:      as Queue.
template <class T>
class JoinableQueue : public detail::BoundedQueueHandle<T> {
 public:
  /// `maxsize` 0: unbounded. `name` appears in reports and must outlive the handle: a literal. Throws: OSError.
  explicit JoinableQueue(std::size_t maxsize = 0, const char* name = nullptr,
                         std::source_location site = std::source_location::current())
      : detail::BoundedQueueHandle<T>{'j', maxsize, Label{name, site}} {
    this->bytes("make").count_tasks();
  }

  /// Says that one item that was taken has been dealt with. Throws: InvalidStateError when called more often than put.
  void task_done() { this->bytes("count tasks of").task_done(); }

  /// Waits until every item that was put has been followed by a task_done(). Cancellable, as get(). Throws: TasksLost.
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
