#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/detail/linked_store.hpp>
#include <weft/detail/queue_cases.hpp>
#include <weft/detail/queue_core.hpp>

namespace weft {

/// First in, first out, unbounded, with a re-entrant put: an item may do anything while it is moved, copied or
/// destroyed, blocking and using this very queue included.
///
/// Semantics:     after Python queue.SimpleQueue: no bound, no count of open tasks, no end. Re-entrant means that put()
///                may be called by code that runs within another call on the same queue in the same context, such as
///                move constructors and destructors of items: no code of theirs runs while the queue is locked, or in
///                an intermediate state. It does not mean that a signal handler may call it: put() allocates memory,
///                and the handler may have interrupted another put().
/// Thread-safety: every method, from any thread or fiber; destroy only when nobody waits. Items that are put by
///                destructors while the queue is destroyed are destroyed, too.
/// Blocking:      get while empty, as in Queue; put never.
/// Ordering:      what precedes a put is visible after the get of that item.
/// Errors:        if moving an item throws, it stays with the putter, or becomes the first in the queue again.
/// Cost:          one allocation for an item; it is moved once in and once out.
template <class T>
class SimpleQueue {
  using Store = detail::LinkedStore<T>;
  using Core = detail::QueueCore<Store>;
  using Node = typename Store::Node;

 public:
  /// `name` appears in reports and must outlive the queue: a literal.
  explicit SimpleQueue(const char* name = nullptr, std::source_location site = std::source_location::current())
      : core_{0, {name, site}} {}
  SimpleQueue(const SimpleQueue&) = delete;
  SimpleQueue& operator=(const SimpleQueue&) = delete;
  ~SimpleQueue() {
    while (core_.get(Deadline::already(), Core::MayWait::No)) {
    }
  }

  void put(T item) {
    auto node = std::make_unique<Node>(std::move(item));
    (void)core_.put(node.get(), Deadline::already(), Core::MayWait::No);  // there is always room
    (void)node.release();
  }

  /// Waits for an item.
  T get() {
    const Taken taken{*this, core_.get(Deadline::never(), Core::MayWait::Yes)};
    return std::move(taken.item());
  }
  [[nodiscard]] std::optional<T> try_get() { return unwrap(core_.get(Deadline::already(), Core::MayWait::No)); }
  template <class Rep, class Period>
  [[nodiscard]] std::optional<T> get_for(std::chrono::duration<Rep, Period> timeout) {
    return get_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] std::optional<T> get_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return get_until(Deadline::at(point));
  }
  [[nodiscard]] std::optional<T> get_until(Deadline deadline) {
    return unwrap(core_.get(deadline, Core::MayWait::Yes));
  }

  /// A moment's truth.
  [[nodiscard]] std::size_t qsize() const noexcept { return core_.size(); }
  [[nodiscard]] bool empty() const noexcept { return qsize() == 0; }
  [[nodiscard]] const char* name() const noexcept { return core_.name(); }

  /// A case of select(): takes an item if chosen, and calls callable(T).
  template <class F>
  [[nodiscard]] auto on_get(F callable) {
    auto unwrapping = [f = std::move(callable)](std::unique_ptr<Node> node) mutable { f(std::move(node->item)); };
    return detail::QueueGetCase<Store, detail::Callables<decltype(unwrapping)>>{{std::move(unwrapping)}, core_};
  }

 private:
  /// What was taken, until its item has been moved out; if that throws, it is put back.
  class Taken {
   public:
    Taken(SimpleQueue& queue, std::optional<std::unique_ptr<Node>> node)
        : queue_{queue}, node_{node ? std::move(*node) : nullptr}, exceptions_{std::uncaught_exceptions()} {}
    Taken(const Taken&) = delete;
    Taken& operator=(const Taken&) = delete;
    ~Taken() {
      if (node_ && std::uncaught_exceptions() > exceptions_) queue_.core_.put_back(node_.release());
    }
    explicit operator bool() const noexcept { return node_ != nullptr; }
    [[nodiscard]] T& item() const noexcept { return node_->item; }

   private:
    SimpleQueue& queue_;
    std::unique_ptr<Node> node_;
    const int exceptions_;
  };

  std::optional<T> unwrap(std::optional<std::unique_ptr<Node>> node) {
    const Taken taken{*this, std::move(node)};
    if (!taken) return std::nullopt;
    return std::optional<T>{std::move(taken.item())};
  }

  Core core_;
};

}  // namespace weft
