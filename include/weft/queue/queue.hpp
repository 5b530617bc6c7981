#pragma once

#include <cstddef>
#include <source_location>

#include <weft/detail/bounded_queue.hpp>
#include <weft/detail/ring_store.hpp>

namespace weft {

/// First in, first out, between threads and fibers in any mixture.
///
/// Semantics:     after Python queue.Queue, with shutdown() of 3.13. Differs: the forms that return an optional or a
///                bool give nothing both when the time is up and when the queue is shut down and empty (is_shut_down()
///                tells); get() and every put then throw ShutDown. Waiters are served oldest first; nobody passes them.
/// Thread-safety: every method, from any thread or fiber; destroy only when nobody waits.
/// Blocking:      put while full, get while empty, join: parks the fiber, or the thread when called outside one, which
///                looks on for at most 10 us before it sleeps if that has been worth it. They throw Cancelled when this
///                fiber is killed; no item is lost or doubled by that or by a timeout.
/// Ordering:      what precedes a put is visible after the get of that item. What one producer put is taken in its
///                order.
/// Items:         T need only be movable. Its move constructor and destructor run inside the queue: they must not block
///                nor use the same queue (SimpleQueue lets them). If a move throws, the exception reaches the caller
///                whose item it was, and the item stays where it was: with the putter, or first in the queue. Callers of
///                get() that wait for items whose move may throw are woken oldest first, but others may take theirs, and those that wait
///                in the other forms come before them.
/// Cost:          an item is moved once or twice; memory for items grows as needed, to the bound at most, and is kept.
///                One atomic operation a call while nobody has to wait; producers and consumers that keep up share
///                nothing but the items.
/// Methods:       in detail::BoundedQueue, the forms of put; in detail::AnyQueue, all others.
template <class T>
class Queue : public detail::BoundedQueue<T, detail::RingStore<T>> {
 public:
  /// `maxsize` 0: unbounded. `name` appears in reports and must outlive the queue: a literal.
  explicit Queue(std::size_t maxsize = 0, const char* name = nullptr,
                 std::source_location site = std::source_location::current())
      : detail::BoundedQueue<T, detail::RingStore<T>>{maxsize, {name, site}} {}
};

}  // namespace weft
