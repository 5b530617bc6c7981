#pragma once

#include <cstddef>
#include <source_location>

#include <weft/detail/bounded_queue.hpp>
#include <weft/detail/stack_store.hpp>

namespace weft {

/// Last in, first out: a stack to wait at. get() takes the youngest item.
///
/// Semantics:     after Python queue.LifoQueue. What a waiting put brings is as young as the moment at which it comes
///                in.
/// Everything else is as in Queue.
template <class T>
class LifoQueue : public detail::BoundedQueue<T, detail::StackStore<T>> {
 public:
  /// `maxsize` 0: unbounded. `name` appears in reports and must outlive the queue: a literal.
  explicit LifoQueue(std::size_t maxsize = 0, const char* name = nullptr,
                     std::source_location site = std::source_location::current())
      : detail::BoundedQueue<T, detail::StackStore<T>>{maxsize, {name, site}} {}
};

}  // namespace weft
