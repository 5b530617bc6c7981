#pragma once

#include <source_location>

#include <weft/detail/queue_handle.hpp>

namespace weft::process {

/// A process::Queue without a bound and without an end.
///
/// Semantics:     after Python multiprocessing.SimpleQueue; put never waits, whatever is in the queue.
/// All else:      as Queue.
template <class T>
class SimpleQueue : public detail::QueueHandle<T> {
  using typename detail::QueueHandle<T>::MayWait;

 public:
  /// `name` appears in reports and must outlive the handle: a literal. Throws: OSError.
  explicit SimpleQueue(const char* name = nullptr,
                       std::source_location site = std::source_location::current())
      : detail::QueueHandle<T>{'s', 0, Label{name, site}} {}

  void put(const T& item) { (void)this->put_item(item, Deadline::never(), MayWait::Yes); }

 private:
  friend struct Transfer<SimpleQueue>;
  explicit SimpleQueue(Incoming& in) : detail::QueueHandle<T>{'s', in} {}
};

template <class T>
struct Transfer<SimpleQueue<T>> {
  static void send(Outgoing& out, const SimpleQueue<T>& queue) { queue.send_to(out); }
  static SimpleQueue<T> receive(Incoming& in) { return SimpleQueue<T>{in}; }
};

}  // namespace weft::process
