#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/detail/ring_buffer.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// First in, first out, between threads and fibers in any mixture.
///
/// Semantics:     after Python queue.Queue, with shutdown() of 3.13. Differs: the forms that return an optional or a bool
///                give nothing both when the time is up and when the queue is shut down and empty (is_shut_down() tells); get()
///                and every put then throw ShutDown. Waiters are served oldest first; nobody passes them.
/// Thread-safety: every method, from any thread or fiber; destroy only when nobody waits.
/// Blocking:      put while full, get while empty, join: parks the fiber, or the thread when called outside one. They throw
///                Cancelled when this fiber is killed; no item is lost or doubled by that or by a timeout.
/// Ordering:      what precedes a put is visible after the get of that item.
/// Items:         T need only be movable. Its move constructor runs inside the queue and must not block; if it throws,
///                the exception reaches the caller whose item it was, and that item stays with him.
/// Cost:          an item is moved once or twice; memory for items grows as needed, to the bound at most, and is kept.
template <class T>
class Queue {
 public:
  /// `maxsize` 0: unbounded. `name` appears in reports and must outlive the queue: a literal.
  explicit Queue(std::size_t maxsize = 0, const char* name = nullptr,
                 std::source_location site = std::source_location::current())
      : maxsize_{maxsize}, label_{name, site} {}
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  /// Waits for room. Throws: ShutDown; the item is lost with the argument then.
  void put(T item) { (void)put_until(std::move(item), Deadline::never()); }
  /// False: no room; `item` is untouched. Throws: ShutDown.
  [[nodiscard]] bool try_put(T&& item) { return put_item(item, Deadline::already(), Wait::No); }
  /// False: no room in time; `item` is untouched. Throws: ShutDown.
  template <class Rep, class Period>
  [[nodiscard]] bool put_for(T&& item, std::chrono::duration<Rep, Period> timeout) {
    return put_until(std::move(item), Deadline::after(timeout));
  }
  [[nodiscard]] bool put_until(T&& item, Deadline deadline) { return put_item(item, deadline, Wait::Yes); }

  /// Waits for an item. Throws: ShutDown when none will come.
  T get() {
    std::optional<T> item = get_item(Deadline::never(), Wait::Yes);
    if (!item) throw ShutDown{"get from a Queue that is shut down and empty"};
    return std::move(*item);
  }
  [[nodiscard]] std::optional<T> try_get() { return get_item(Deadline::already(), Wait::No); }
  template <class Rep, class Period>
  [[nodiscard]] std::optional<T> get_for(std::chrono::duration<Rep, Period> timeout) {
    return get_until(Deadline::after(timeout));
  }
  [[nodiscard]] std::optional<T> get_until(Deadline deadline) { return get_item(deadline, Wait::Yes); }

  /// A moment's truth, all three.
  [[nodiscard]] std::size_t qsize() const noexcept { return size_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool empty() const noexcept { return qsize() == 0; }
  [[nodiscard]] bool full() const noexcept { return maxsize_ != 0 && qsize() >= maxsize_; }
  [[nodiscard]] std::size_t maxsize() const noexcept { return maxsize_; }
  [[nodiscard]] const char* name() const noexcept { return label_.name(); }

  /// Says that one item that was taken has been dealt with. Throws: InvalidStateError when called more often than put.
  void task_done() {
    detail::Entry* joined = nullptr;
    {
      Guard guard{state_};
      if (unfinished_ == 0) throw InvalidStateError{"task_done() on a Queue: called more often than items were put"};
      if (--unfinished_ == 0) joined = joiners_.claim_all();
    }
    detail::deliver_all(joined);
  }

  /// Waits until every item that was put has been followed by a task_done().
  void join() { (void)join_until(Deadline::never()); }
  template <class Rep, class Period>
  [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> timeout) {
    return join_until(Deadline::after(timeout));
  }
  [[nodiscard]] bool join_until(Deadline deadline);

  /// No further put. Gentle: items that are in the queue may still be taken. Immediate: they are dropped, and count as done.
  void shutdown(bool immediate = false);
  [[nodiscard]] bool is_shut_down() const noexcept { return (state_.load(std::memory_order_acquire) & kShutDown) != 0; }

 private:
  static constexpr std::uint32_t kList = 1, kShutDown = 2;
  using Guard = detail::ListGuard<std::uint32_t, kList>;
  enum class Wait : bool { No, Yes };
  static constexpr detail::Outcome kRefused = 1;  // woken by shutdown()

  // What a waiter's entry points to. A putter's item, or a getter's place for one, used by whoever claims the entry.
  struct Waiting {
    T* source = nullptr;
    std::optional<T>* target = nullptr;
    bool moved = false;  // false after a wake-up: the move threw, try again
  };

  bool put_item(T& item, Deadline deadline, Wait wait);
  std::optional<T> get_item(Deadline deadline, Wait wait);
  bool hand_to_getter(T& item, detail::Entry*& woken);
  void admit_putter(detail::Entry*& woken) noexcept;
  [[nodiscard]] bool has_room() const noexcept { return maxsize_ == 0 || items_.size() < maxsize_; }
  void note_size() noexcept { size_.store(items_.size(), std::memory_order_relaxed); }
  /// A wait that has been armed, until it begins.
  class Armed {
   public:
    ~Armed() {
      // The call ended before it waited. A kill that came at the same moment is remembered for the next one.
      if (self_) detail::disarm_granted(*self_);
    }
    void begin(detail::Entry& entry) {
      detail::Context& self = detail::current_context();
      if (!detail::arm(self, entry, detail::Interruptible::Yes)) detail::throw_interruption();
      self_ = &self;
    }
    explicit operator bool() const noexcept { return self_ != nullptr; }
    detail::Context& take() noexcept { return *std::exchange(self_, nullptr); }

   private:
    detail::Context* self_ = nullptr;
  };

  detail::Outcome wait_in(detail::WaitList& list, detail::Entry& entry, detail::Context& self, Deadline deadline) {
    const detail::Outcome outcome = detail::park(self, {detail::WaitKind::Queue, this, label_}, deadline);
    if (outcome == detail::kTimedOut || outcome == detail::kInterrupted) {
      Guard guard{state_};
      if (entry.linked) list.remove(entry);
    }
    if (outcome == detail::kInterrupted) detail::throw_interruption();
    return outcome;
  }

  std::atomic<std::uint32_t> state_{0};
  const std::size_t maxsize_;
  std::atomic<std::size_t> size_{0};  // items_.size() for those who do not hold the list bit
  const Label label_;
  // All below: guarded by kList. Getters wait only while there is no item, putters only while there is no room.
  detail::RingBuffer<T> items_;
  std::size_t unfinished_ = 0;
  detail::WaitList getters_;
  detail::WaitList putters_;
  detail::WaitList joiners_;
};

template <class T>
bool Queue<T>::hand_to_getter(T& item, detail::Entry*& woken) {
  detail::Entry* getter = getters_.claim_front();
  if (!getter) return false;
  woken = getter;
  auto& waiting = *static_cast<Waiting*>(getter->payload);
  waiting.target->emplace(std::move(item));
  waiting.moved = true;
  return true;
}

// There is room for one more: the oldest waiting putter's item comes in. If its move throws, that putter finds out.
template <class T>
void Queue<T>::admit_putter(detail::Entry*& woken) noexcept {
  detail::Entry* putter = putters_.claim_front();
  if (!putter) return;
  woken = putter;
  auto& waiting = *static_cast<Waiting*>(putter->payload);
  try {
    items_.push(std::move(*waiting.source));
    waiting.moved = true;
    ++unfinished_;
  } catch (...) {
  }
}

template <class T>
bool Queue<T>::put_item(T& item, Deadline deadline, Wait wait) {
  for (;;) {
    detail::Entry* woken = nullptr;
    detail::Entry entry;
    Waiting waiting{&item, nullptr, false};
    Armed armed;
    for (;;) {
      Guard guard{state_};
      const bool shut = (guard.value() & kShutDown) != 0;
      if (shut || !getters_.empty() || has_room()) {
        if (!shut && !getters_.empty()) {
          try {
            if (hand_to_getter(item, woken)) ++unfinished_;
          } catch (...) {
            guard.release();
            detail::deliver(*woken);  // it finds nothing and waits again
            throw;
          }
        }
        if (!shut && !woken) {
          if (items_.full()) {  // grow outside, allocation may take long
            const std::size_t capacity = items_.grown_capacity(maxsize_);
            guard.release();
            auto larger = items_.allocate(capacity);
            Guard again{state_};
            items_.adopt(larger);
            continue;
          }
          items_.push(std::move(item));
          ++unfinished_;
          note_size();
        }
        guard.release();
        if (shut) throw ShutDown{"put into a Queue that is shut down"};
        if (woken) detail::deliver(*woken);
        return true;
      }
      if (wait == Wait::No) return false;
      if (armed) {
        entry.payload = &waiting;
        putters_.push_back(entry);
        break;
      }
      // Full: arm, which takes an atomic operation of its own, only now, then look again.
      guard.release();
      armed.begin(entry);
    }
    const detail::Outcome outcome = wait_in(putters_, entry, armed.take(), deadline);
    if (outcome == detail::kTimedOut) return false;
    if (outcome == kRefused) throw ShutDown{"put into a Queue that is shut down"};
    if (waiting.moved) return true;
  }
}

template <class T>
std::optional<T> Queue<T>::get_item(Deadline deadline, Wait wait) {
  for (;;) {
    detail::Entry* woken = nullptr;
    detail::Entry entry;
    std::optional<T> item;
    Waiting waiting{nullptr, &item, false};
    Armed armed;
    if (wait == Wait::Yes && empty()) armed.begin(entry);  // it will probably have to wait: saves a look
    for (;;) {
      Guard guard{state_};
      const bool finished = (guard.value() & kShutDown) != 0 && items_.empty();
      if (finished || !items_.empty()) {
        if (!finished) {
          item.emplace(std::move(items_.front()));
          items_.pop();
          admit_putter(woken);
          note_size();
        }
        guard.release();
        if (woken) detail::deliver(*woken);
        return item;
      }
      if (wait == Wait::No) return item;
      if (armed) {
        entry.payload = &waiting;
        getters_.push_back(entry);
        break;
      }
      guard.release();
      armed.begin(entry);
    }
    const detail::Outcome outcome = wait_in(getters_, entry, armed.take(), deadline);
    if (outcome == detail::kTimedOut || outcome == kRefused || waiting.moved) return item;
  }
}

template <class T>
bool Queue<T>::join_until(Deadline deadline) {
  detail::Entry entry;
  Armed armed;
  armed.begin(entry);
  {
    Guard guard{state_};
    if (unfinished_ == 0) return true;
    joiners_.push_back(entry);
  }
  return wait_in(joiners_, entry, armed.take(), deadline) == detail::kFired;
}

template <class T>
void Queue<T>::shutdown(bool immediate) {
  detail::RingBuffer<T> dropped;  // destroyed outside: destructors of items are the user's code
  detail::Entry* getters = nullptr;
  detail::Entry* putters = nullptr;
  detail::Entry* joiners = nullptr;
  {
    Guard guard{state_};
    guard.set_value(guard.value() | kShutDown);
    if (immediate) {
      unfinished_ -= items_.size();
      dropped.swap(items_);
      note_size();
      if (unfinished_ == 0) joiners = joiners_.claim_all();
    }
    if (items_.empty()) getters = getters_.claim_all(kRefused);
    putters = putters_.claim_all(kRefused);
  }
  detail::deliver_all(getters);
  detail::deliver_all(putters);
  detail::deliver_all(joiners);
}

}  // namespace weft
