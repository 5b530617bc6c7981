#pragma once

// What all queues are: waiting, handing over and ending, around a store that knows the order. Headers of weft only.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/base/label.hpp>
#include <weft/detail/armed.hpp>
#include <weft/detail/patience.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

[[noreturn]] void throw_queue_shut_down(const char* operation);
[[noreturn]] void throw_task_done_too_often();

/// Store: see ring_store.hpp. Everything below the state word is guarded by its list bit. Getters wait only while there is
/// no item, putters only while there is no room; whoever changes that serves the oldest of them in the same step, so that
/// nobody passes a waiter:
///   - a put that finds a getter moves the item into his place;
///   - a get that makes room moves the item of the oldest putter in.
/// An entry whose wait has ended otherwise may stay in a list for a moment; claim() tells.
template <class Store>
class QueueCore {
 public:
  using Value = typename Store::Value;
  using Source = typename Store::Source;
  enum class MayWait : bool { No, Yes };
  enum class Result : std::uint8_t { Done, ShutDown, NotNow, MustGrow };
  static constexpr Outcome kRefused = 1;  // woken by shutdown()

  /// What a waiter's entry points to: a putter's item, or a getter's place for one, used by whoever claims the entry.
  struct Waiting {
    Source source{};
    std::optional<Value>* target = nullptr;
    bool moved = false;  // false after a wake-up: the move threw, try again
  };

  template <class... StoreArgs>
  QueueCore(std::size_t maxsize, Label label, StoreArgs&&... args)
      : store_(std::forward<StoreArgs>(args)...), maxsize_{maxsize}, label_{label} {}
  QueueCore(const QueueCore&) = delete;
  QueueCore& operator=(const QueueCore&) = delete;

  [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t maxsize() const noexcept { return maxsize_; }
  [[nodiscard]] const char* name() const noexcept { return label_.name(); }
  [[nodiscard]] bool is_shut_down() const noexcept { return (state_.load(std::memory_order_acquire) & kShutDown) != 0; }

  /// False: no room in time. Throws: ShutDown; what interrupts a wait; what moving the item throws.
  bool put(Source source, Deadline deadline, MayWait may_wait);
  /// Nothing: none came in time, or none will come. Throws: what interrupts a wait; what moving the item throws.
  std::optional<Value> get(Deadline deadline, MayWait may_wait);

  void task_done();
  bool join(Deadline deadline);
  void shutdown(bool immediate);

  // ---- for a case of select(), which waits in several places: an entry of its own

  [[nodiscard]] Result try_put(Source source);
  [[nodiscard]] Result try_get(std::optional<Value>& target);
  /// False: look again, it may be possible now.
  [[nodiscard]] bool enlist_getter(Entry& entry, Waiting& waiting) noexcept;
  [[nodiscard]] bool enlist_putter(Entry& entry, Waiting& waiting) noexcept;
  void withdraw_getter(Entry& entry) noexcept { withdraw(getters_, entry); }
  void withdraw_putter(Entry& entry) noexcept { withdraw(putters_, entry); }

 private:
  static constexpr std::uint32_t kList = 1, kShutDown = 2;
  using Guard = ListGuard<std::uint32_t, kList>;

  // Done: the bit has been released. Otherwise it is still held.
  Result put_under(Guard& guard, Source source);
  Result get_under(Guard& guard, std::optional<Value>& target);
  [[nodiscard]] Entry* admit_putters() noexcept;
  [[gnu::noinline]] bool put_slowly(Source source, Deadline deadline, MayWait may_wait);
  [[gnu::noinline]] void get_slowly(std::optional<Value>& item, Deadline deadline);
  void grow(Guard& guard);
  [[nodiscard]] Outcome wait_in(WaitList& list, Entry& entry, Context& self, Deadline deadline);
  void withdraw(WaitList& list, Entry& entry) noexcept {
    Guard guard{state_};
    if (entry.linked) list.remove(entry);
  }
  static void link(WaitList& list, Entry& entry, Waiting& waiting, bool keeps_place) noexcept {
    entry.payload = &waiting;
    keeps_place ? list.push_front(entry) : list.push_back(entry);
  }

  [[nodiscard]] bool has_room() const noexcept { return maxsize_ == 0 || store_.size() < maxsize_; }
  void note_size() noexcept { size_.store(store_.size(), std::memory_order_relaxed); }
  [[nodiscard]] bool room_soon(Deadline deadline) noexcept {
    return patience_of_putters_.wait(size_, 0, maxsize_ - 1, deadline);
  }
  [[nodiscard]] bool item_soon(Deadline deadline) noexcept {
    return patience_of_getters_.wait(size_, 1, SIZE_MAX, deadline);
  }

  // Written by every put and get: one line of memory that goes back and forth.
  alignas(64) std::atomic<std::uint32_t> state_{0};
  std::atomic<std::size_t> size_{0};  // store_.size() for those who do not hold the list bit
  std::size_t unfinished_ = 0;
  Store store_;
  // Read by every put and get, written by those that wait.
  alignas(64) const std::size_t maxsize_;
  WaitList getters_;
  WaitList putters_;
  WaitList joiners_;
  Patience patience_of_getters_;
  Patience patience_of_putters_;
  const Label label_;
};

// ---- the two steps ---------------------------------------------------------------------------------------------------

template <class Store>
auto QueueCore<Store>::put_under(Guard& guard, Source source) -> Result {
  if (guard.value() & kShutDown) return Result::ShutDown;
  if (Entry* getter = getters_.empty() ? nullptr : getters_.claim_front()) {
    auto& waiting = *static_cast<Waiting*>(getter->payload);
    try {
      Store::hand_over(source, *waiting.target);
    } catch (...) {
      guard.release();
      deliver(*getter);  // it finds nothing and waits again
      throw;
    }
    waiting.moved = true;
    ++unfinished_;
    guard.release();
    deliver(*getter);
    return Result::Done;
  }
  if (!has_room()) return Result::NotNow;
  if (store_.full()) return Result::MustGrow;
  store_.push(source);
  ++unfinished_;
  note_size();
  guard.release();
  return Result::Done;
}

template <class Store>
auto QueueCore<Store>::get_under(Guard& guard, std::optional<Value>& target) -> Result {
  if (store_.empty()) return guard.value() & kShutDown ? Result::ShutDown : Result::NotNow;
  store_.pop_into(target);
  Entry* admitted = putters_.empty() ? nullptr : admit_putters();
  note_size();
  guard.release();
  deliver_all(admitted);
  return Result::Done;
}

// One comes in, unless moving its item throws: that putter finds out for itself, and the next one has its turn.
template <class Store>
Entry* QueueCore<Store>::admit_putters() noexcept {
  Entry* first = nullptr;
  Entry** last = &first;
  while (has_room() && !store_.full()) {
    Entry* putter = putters_.claim_front();
    if (!putter) break;
    *last = putter;
    last = &putter->next;
    auto& waiting = *static_cast<Waiting*>(putter->payload);
    try {
      store_.push(waiting.source);
      waiting.moved = true;
      ++unfinished_;
    } catch (...) {
    }
  }
  return first;
}

// Outside the bit: allocation may take long.
template <class Store>
void QueueCore<Store>::grow(Guard& guard) {
  const std::size_t capacity = store_.grown(maxsize_);
  guard.release();
  typename Store::Memory larger{capacity};
  Guard again{state_};
  store_.adopt(larger);
}

// ---- waiting ---------------------------------------------------------------------------------------------------------

template <class Store>
bool QueueCore<Store>::put(Source source, Deadline deadline, MayWait may_wait) {
  {
    Guard guard{state_};
    const Result result = put_under(guard, source);
    if (result == Result::Done) return true;
    if (result == Result::NotNow && may_wait == MayWait::No) return false;
  }
  return put_slowly(source, deadline, may_wait);
}

template <class Store>
bool QueueCore<Store>::put_slowly(Source source, Deadline deadline, MayWait may_wait) {
  for (bool keeps_place = false;; keeps_place = true) {
    Entry entry;
    Waiting waiting{source, nullptr, false};
    Armed armed;
    bool looked_on = false;
    for (;;) {
      Guard guard{state_};
      const Result result = put_under(guard, source);
      if (result == Result::Done) return true;
      if (result == Result::MustGrow) {
        grow(guard);
        continue;
      }
      if (result == Result::ShutDown) {
        guard.release();
        throw_queue_shut_down("put into");
      }
      if (may_wait == MayWait::No) return false;
      if (armed) {
        link(putters_, entry, waiting, keeps_place);
        break;
      }
      const bool worth_looking = !std::exchange(looked_on, true) && putters_.empty();
      guard.release();
      Context& self = current_context();
      if (worth_looking && !self.is_fiber() && room_soon(deadline)) continue;
      armed.begin(self, entry);
    }
    const Outcome outcome = wait_in(putters_, entry, armed.take(), deadline);
    if (waiting.moved) return true;
    if (outcome == kTimedOut) return false;
    if (outcome == kRefused) throw_queue_shut_down("put into");
  }
}

template <class Store>
auto QueueCore<Store>::get(Deadline deadline, MayWait may_wait) -> std::optional<Value> {
  std::optional<Value> item;
  if (size() != 0) {
    Guard guard{state_};
    if (get_under(guard, item) == Result::Done) return item;
  }
  if (may_wait == MayWait::Yes) get_slowly(item, deadline);
  return item;
}

template <class Store>
void QueueCore<Store>::get_slowly(std::optional<Value>& item, Deadline deadline) {
  Context& self = current_context();
  for (bool keeps_place = false;; keeps_place = true) {
    Entry entry;
    Waiting waiting{Source{}, &item, false};
    Armed armed;
    // It will probably have to wait. Armed before it looks, a fiber need not look twice.
    if (self.is_fiber()) armed.begin(self, entry);
    bool looked_on = false;
    for (;;) {
      Guard guard{state_};
      if (get_under(guard, item) != Result::NotNow) return;
      if (armed) {
        link(getters_, entry, waiting, keeps_place);
        break;
      }
      const bool worth_looking = !std::exchange(looked_on, true) && getters_.empty();
      guard.release();
      if (worth_looking && item_soon(deadline)) continue;
      armed.begin(self, entry);
    }
    const Outcome outcome = wait_in(getters_, entry, armed.take(), deadline);
    if (waiting.moved || outcome == kTimedOut || outcome == kRefused) return;
  }
}

template <class Store>
Outcome QueueCore<Store>::wait_in(WaitList& list, Entry& entry, Context& self, Deadline deadline) {
  const Outcome outcome = park(self, {.kind = WaitKind::Queue, .object = this, .label = label_}, deadline);
  if (outcome == kTimedOut || outcome == kInterrupted) withdraw(list, entry);
  if (outcome == kInterrupted) throw_interruption();
  return outcome;
}

// ---- open tasks, the end ---------------------------------------------------------------------------------------------

template <class Store>
void QueueCore<Store>::task_done() {
  Entry* joined = nullptr;
  {
    Guard guard{state_};
    if (unfinished_ == 0) {
      guard.release();
      throw_task_done_too_often();
    }
    if (--unfinished_ == 0) joined = joiners_.claim_all();
  }
  deliver_all(joined);
}

template <class Store>
bool QueueCore<Store>::join(Deadline deadline) {
  Entry entry;
  Armed armed;
  armed.begin(current_context(), entry);
  {
    Guard guard{state_};
    if (unfinished_ == 0) return true;
    joiners_.push_back(entry);
  }
  return wait_in(joiners_, entry, armed.take(), deadline) == kFired;
}

template <class Store>
void QueueCore<Store>::shutdown(bool immediate) {
  Store dropped = store_.fresh();  // destroyed outside: destructors of items are the user's code
  Entry* getters = nullptr;
  Entry* putters = nullptr;
  Entry* joiners = nullptr;
  {
    Guard guard{state_};
    guard.set_value(guard.value() | kShutDown);
    if (immediate) {
      unfinished_ -= store_.size();
      dropped.swap(store_);
      note_size();
      if (unfinished_ == 0) joiners = joiners_.claim_all();
    }
    if (store_.empty()) getters = getters_.claim_all(kRefused);
    putters = putters_.claim_all(kRefused);
  }
  deliver_all(getters);
  deliver_all(putters);
  deliver_all(joiners);
}

// ---- for select() ----------------------------------------------------------------------------------------------------

template <class Store>
auto QueueCore<Store>::try_put(Source source) -> Result {
  for (;;) {
    Guard guard{state_};
    const Result result = put_under(guard, source);
    if (result != Result::MustGrow) return result;
    grow(guard);
  }
}

template <class Store>
auto QueueCore<Store>::try_get(std::optional<Value>& target) -> Result {
  Guard guard{state_};
  return get_under(guard, target);
}

template <class Store>
bool QueueCore<Store>::enlist_getter(Entry& entry, Waiting& waiting) noexcept {
  Guard guard{state_};
  if (!store_.empty() || (guard.value() & kShutDown)) return false;
  link(getters_, entry, waiting, false);
  return true;
}

template <class Store>
bool QueueCore<Store>::enlist_putter(Entry& entry, Waiting& waiting) noexcept {
  Guard guard{state_};
  if (has_room() || !getters_.empty() || (guard.value() & kShutDown)) return false;
  link(putters_, entry, waiting, false);
  return true;
}

}  // namespace weft::detail
