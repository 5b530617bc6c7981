#pragma once

#include <cstddef>
#include <source_location>

#include <weft/detail/queue_handle.hpp>

namespace weft::process {

/// First in, first out, between all threads and fibers of all processes that have a handle of it: inherited by fork, or
/// sent as an argument. In shared memory without a name, which ends with the last handle.
///
/// Semantics:     after Python multiprocessing.Queue, with the names of weft::Queue and its end (shutdown() of Python
///                3.13). Differs: no thread feeds it. What put() has returned for is in the queue, so that a process
///                may end, be joined or be killed at once, whether anybody gets or not: there is nothing to flush, and
///                no join_thread(). The forms that return an optional or a bool give nothing both when the time is up
///                and when the queue is shut down and empty (is_shut_down() tells); get() and every put then throw
///                ShutDown. Of several who wait any may be next.
/// Items:         T is Sendable. A value that holds a descriptor (a socket, a lock, another queue) cannot be put:
///                std::invalid_argument. Items are made into bytes before the queue is touched and into values when
///                they have been taken from it: what a T throws as it is sent leaves the queue as it was; what it
///                throws as it is received loses that item alone.
/// Thread-safety: every method, from any thread or fiber of any process; a handle itself (copying, moving, close()) as
///                any value. A copy of a handle is the same queue.
/// Blocking:      put while full, get while empty: parks the fiber, or the thread when called outside one, which looks
///                on for at most 10 us before it sleeps if that has been worth it. They throw Cancelled when this fiber
///                is killed, and heed scopes; no item is lost or doubled by that or by a timeout. The other forms wait
///                for the few steps of somebody else's put or get at most.
/// Ordering:      what precedes a put is visible after the get of that item; items are taken in the order in which they
///                were put.
/// Deaths:        a process may be killed at any point. Of an item that it was putting, nothing or all is in the queue;
///                one that it was getting is there or gone with it. Everybody else goes on: at once, or within a tenth
///                of a second where the killed one was to wake somebody.
/// Errors:        OSError: no memory, or not within the process's limits (RLIMIT_FSIZE, RLIMIT_AS); the queue is as it
///                was, and usable. InvalidStateError: this handle was closed.
/// Cost:          8 bytes and the item's, rounded up to 8; memory comes by 128 KiB as needed and is returned, but for 2
///                MiB, when it has been read. 20 KiB for an empty queue, and a descriptor in each process. Two atomic
///                operations a call while nobody has to wait; producers and consumers that keep up share little but the
///                items. Large items are copied under a lock that other putters, or getters, wait for.
/// Methods:       in detail::QueueHandle and detail::BoundedQueueHandle.
template <class T>
class Queue : public detail::BoundedQueueHandle<T> {
 public:
  /// `maxsize` 0: unbounded. `name` appears in reports and must outlive the handle: a literal. Throws: OSError.
  explicit Queue(std::size_t maxsize = 0, const char* name = nullptr,
                 std::source_location site = std::source_location::current())
      : detail::BoundedQueueHandle<T>{'q', maxsize, Label{name, site}} {}

 private:
  friend struct Transfer<Queue>;
  explicit Queue(Incoming& in) : detail::BoundedQueueHandle<T>{'q', in} {}
};

template <class T>
struct Transfer<Queue<T>> {
  static void send(Outgoing& out, const Queue<T>& queue) { queue.send_to(out); }
  static Queue<T> receive(Incoming& in) { return Queue<T>{in}; }
};

}  // namespace weft::process
