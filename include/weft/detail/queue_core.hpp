#pragma once

// What all queues are: waiting, handing over and ending, around a store that knows the order. Headers of weft only.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
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

/// Store: see ring_store.hpp. A queue has two sides, each with a state word that guards what belongs to it:
///
///   side   count in its word     its waiters                                     also
///   in     items put in          getters, who wait only while there is no item   open tasks, who waits for them, the end
///   out    items taken out       putters, who wait only while there is no room
///
/// A put needs the in side only: under its bit nothing can be put, so that an empty queue stays empty and a getter that
/// waits stays there; that the other side takes meanwhile only makes room. A get needs the out side only, for the mirrored
/// reason. So getters link themselves under the in bit, putters under the out bit, and producers and consumers that keep up
/// with each other share no memory but the items: each remembers the other's count and looks again when that is used up.
/// Who needs both bits takes out first, then in.
///
/// For other stores than a ring the two sides are one, whose word counts the items.
///
/// Whoever makes a wait unnecessary serves the oldest waiter in the same step, so that nobody passes a waiter:
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
  ~QueueCore() { store_.clear(out_.head, size()); }

  [[nodiscard]] std::size_t size() const noexcept {
    if constexpr (!kTwoSided) return count_in(in_.word.load(std::memory_order_acquire));
    // The same count of items put in before and after: this was the size when the other was read.
    std::uint64_t in = count_in(in_.word.load(std::memory_order_acquire));
    for (;;) {
      const std::uint64_t out = count_in(out_.word.load(std::memory_order_acquire));
      const std::uint64_t again = count_in(in_.word.load(std::memory_order_acquire));
      if (again == in) return in - out;
      in = again;
    }
  }
  [[nodiscard]] std::size_t maxsize() const noexcept { return maxsize_; }
  [[nodiscard]] const char* name() const noexcept { return label_.name(); }
  [[nodiscard]] bool is_shut_down() const noexcept {
    return (in_.word.load(std::memory_order_acquire) & kShutDown) != 0;
  }

  /// False: no room in time. Throws: ShutDown; what interrupts a wait; what moving the item throws.
  bool put(Source source, Deadline deadline, MayWait may_wait);
  /// Nothing: none came in time, or none will come. Throws: what interrupts a wait; what moving the item throws.
  std::optional<Value> get(Deadline deadline, MayWait may_wait);

  void task_done();
  bool join(Deadline deadline);
  void shutdown(bool immediate);

  // ---- for a case of select(), which waits in several places: an entry of its own

  [[nodiscard]] Result try_put(Source source);
  [[nodiscard, gnu::always_inline]] Result try_get(std::optional<Value>& target);
  /// False: look again, it may be possible now.
  [[nodiscard]] bool enlist_getter(Entry& entry, Waiting& waiting, bool keeps_place = false) noexcept;
  [[nodiscard]] bool enlist_putter(Entry& entry, Waiting& waiting, bool keeps_place = false) noexcept;
  void withdraw_getter(Entry& entry) noexcept { withdraw(in_.word, in_.getters, entry); }
  void withdraw_putter(Entry& entry) noexcept { withdraw(out_word(), out_.putters, entry); }

 private:
  static constexpr bool kTwoSided = Store::kTwoSided;
  static constexpr std::uint64_t kList = 1, kShutDown = 2;  // the end is marked on the in side
  static constexpr int kCountShift = 2;
  static constexpr std::uint64_t kOne = 1 << kCountShift;
  using Guard = ListGuard<std::uint64_t, kList>;

  struct alignas(64) InSide {
    std::atomic<std::uint64_t> word{0};
    [[no_unique_address]] typename Store::Tail tail;
    std::uint64_t known_out = 0;  // how many had been taken out when this side last looked
    std::size_t unfinished = 0;
    WaitList getters;
    WaitList joiners;
  };
  struct alignas(64) OutSide {
    std::atomic<std::uint64_t> word{0};
    [[no_unique_address]] typename Store::Head head;
    std::atomic<std::uint64_t> known_in{0};  // the same, of the other side; written under the bit
    WaitList putters;
  };

  static constexpr std::uint64_t count_in(std::uint64_t word) { return word >> kCountShift; }
  [[nodiscard]] std::atomic<std::uint64_t>& out_word() noexcept { return kTwoSided ? out_.word : in_.word; }

  [[gnu::always_inline]] Result room(const Guard& in) noexcept;
  [[gnu::always_inline]] Result supply(const Guard& out) noexcept;
  // Inlined, as is wait_in(): two fibers that pass a number back and forth lose a tenth to the calls.
  [[gnu::always_inline]] Result put_once(Source source);
  [[gnu::noinline]] void admit_and_release(Guard& out) noexcept;
  [[nodiscard]] Entry* admit_putters(Guard& in, std::uint64_t taken_out) noexcept;
  void grow();
  [[gnu::noinline]] bool put_slowly(Source source, Deadline deadline, MayWait may_wait, Result result);
  void get_slowly(std::optional<Value>& item, Deadline deadline);
  template <class Withdraw>
  [[nodiscard, gnu::always_inline]] Outcome wait_in(Context& self, Deadline deadline, Withdraw withdraw);
  [[nodiscard]] bool seems_empty() const noexcept;
  [[nodiscard]] bool is_empty(const Guard& in) const noexcept;
  [[nodiscard]] bool is_full_and_open(const Guard& out) const noexcept;
  [[nodiscard]] bool room_soon(Deadline deadline) noexcept;
  [[nodiscard]] bool item_soon(Deadline deadline) noexcept;

  static void withdraw(std::atomic<std::uint64_t>& word, WaitList& list, Entry& entry) noexcept {
    const Guard guard{word};
    if (entry.linked) list.remove(entry);
  }
  static void link(WaitList& list, Entry& entry, Waiting& waiting, bool keeps_place) noexcept {
    entry.payload = &waiting;
    keeps_place ? list.push_front(entry) : list.push_back(entry);
  }

  InSide in_;
  OutSide out_;
  // Read by all; written when it grows.
  alignas(64) Store store_;
  const std::size_t maxsize_;
  Patience patience_of_getters_;
  Patience patience_of_putters_;
  const Label label_;
};

// ---- the two steps ---------------------------------------------------------------------------------------------------

// Acquire, here and below: what was taken out of a place, or put in, before the count says so is over.
template <class Store>
inline auto QueueCore<Store>::room(const Guard& in) noexcept -> Result {
  std::uint64_t size = 0;
  if constexpr (kTwoSided) {
    const std::uint64_t put_in = count_in(in.value());
    if (put_in - in_.known_out >= store_.capacity()) {
      in_.known_out = count_in(out_.word.load(std::memory_order_acquire));
    }
    size = put_in - in_.known_out;
  } else {
    size = count_in(in.value());
  }
  if (size < store_.capacity()) return Result::Done;
  return maxsize_ == 0 || size < maxsize_ ? Result::MustGrow : Result::NotNow;
}

template <class Store>
inline auto QueueCore<Store>::supply(const Guard& out) noexcept -> Result {
  std::uint64_t end = out.value();
  if constexpr (kTwoSided) {
    const std::uint64_t taken_out = count_in(out.value());
    if (out_.known_in.load(std::memory_order_relaxed) != taken_out) return Result::Done;
    end = in_.word.load(std::memory_order_acquire);
    out_.known_in.store(count_in(end), std::memory_order_relaxed);
    if (count_in(end) != taken_out) return Result::Done;
  } else if (out.value() >= kOne) {
    return Result::Done;
  }
  return end & kShutDown ? Result::ShutDown : Result::NotNow;
}

template <class Store>
inline auto QueueCore<Store>::put_once(Source source) -> Result {
  Guard in{in_.word};
  if (in.value() & kShutDown) return Result::ShutDown;
  if (Entry* getter = in_.getters.empty() ? nullptr : in_.getters.claim_front()) {
    auto& waiting = *static_cast<Waiting*>(getter->payload);
    try {
      Store::hand_over(source, *waiting.target);
    } catch (...) {
      in.release();
      deliver(*getter);  // it finds nothing and waits again
      throw;
    }
    waiting.moved = true;
    ++in_.unfinished;
    in.release();
    deliver(*getter);
    return Result::Done;
  }
  if (const Result result = room(in); result != Result::Done) return result;
  store_.push(in_.tail, source);
  ++in_.unfinished;
  in.set_value(in.value() + kOne);
  return Result::Done;
}

template <class Store>
inline auto QueueCore<Store>::try_get(std::optional<Value>& target) -> Result {
  Guard out{out_word()};
  if (const Result result = supply(out); result != Result::Done) return result;
  store_.pop_into(out_.head, target);
  out.set_value(kTwoSided ? out.value() + kOne : out.value() - kOne);
  if (!out_.putters.empty()) [[unlikely]] admit_and_release(out);
  return Result::Done;
}

template <class Store>
void QueueCore<Store>::admit_and_release(Guard& out) noexcept {
  Entry* admitted = nullptr;
  if constexpr (kTwoSided) {
    // No put comes in between: what has been taken out is known only when the out bit is released.
    Guard in{in_.word};
    admitted = admit_putters(in, count_in(out.value()));
    out.release();
  } else {
    admitted = admit_putters(out, 0);
    out.release();
  }
  deliver_all(admitted);
}

// One comes in, unless moving its item throws: that putter finds out for itself, and the next one has its turn.
template <class Store>
Entry* QueueCore<Store>::admit_putters(Guard& in, std::uint64_t taken_out) noexcept {
  Entry* first = nullptr;
  Entry** last = &first;
  while (count_in(in.value()) - taken_out < std::min(maxsize_, store_.capacity())) {
    Entry* putter = out_.putters.claim_front();
    if (!putter) break;
    *last = putter;
    last = &putter->next;
    auto& waiting = *static_cast<Waiting*>(putter->payload);
    try {
      store_.push(in_.tail, waiting.source);
      waiting.moved = true;
      ++in_.unfinished;
      in.set_value(in.value() + kOne);
    } catch (...) {
    }
  }
  return first;
}

// Allocates outside the bits: that may take long.
template <class Store>
void QueueCore<Store>::grow() {
  std::size_t capacity = 0;
  {
    const Guard in{in_.word};
    capacity = store_.grown(maxsize_);
  }
  typename Store::Memory larger{capacity};
  if constexpr (kTwoSided) {
    const Guard out{out_.word};
    const Guard in{in_.word};
    store_.adopt(larger, out_.head, in_.tail, count_in(in.value()) - count_in(out.value()));
  } else {
    const Guard both{in_.word};
    store_.adopt(larger, {}, {}, count_in(both.value()));
  }
}

// ---- waiting ---------------------------------------------------------------------------------------------------------

template <class Store>
bool QueueCore<Store>::put(Source source, Deadline deadline, MayWait may_wait) {
  const Result result = put_once(source);
  return result == Result::Done || put_slowly(source, deadline, may_wait, result);
}

template <class Store>
bool QueueCore<Store>::put_slowly(Source source, Deadline deadline, MayWait may_wait, Result result) {
  Context& self = current_context();
  bool keeps_place = false;
  bool looked_on = self.is_fiber();
  for (; result != Result::Done; result = put_once(source)) {
    if (result == Result::ShutDown) throw_queue_shut_down("put into");
    if (result == Result::MustGrow) {
      grow();
      continue;
    }
    if (may_wait == MayWait::No) return false;
    if (!std::exchange(looked_on, true) && room_soon(deadline)) continue;
    Entry entry;
    Waiting waiting{source, nullptr, false};
    Armed armed;
    armed.begin(self, entry);
    if (!enlist_putter(entry, waiting, keeps_place)) continue;
    const Outcome outcome = wait_in(armed.take(), deadline, [&] { withdraw_putter(entry); });
    if (waiting.moved) return true;
    if (outcome == kTimedOut) return false;
    keeps_place = true;
  }
  return true;
}

template <class Store>
auto QueueCore<Store>::get(Deadline deadline, MayWait may_wait) -> std::optional<Value> {
  std::optional<Value> item;
  if (!seems_empty() && try_get(item) == Result::Done) return item;
  if (may_wait == MayWait::Yes) get_slowly(item, deadline);
  return item;
}

template <class Store>
void QueueCore<Store>::get_slowly(std::optional<Value>& item, Deadline deadline) {
  Context& self = current_context();
  bool keeps_place = false;
  bool looked_on = self.is_fiber();
  for (;;) {
    if (std::exchange(looked_on, true) || !item_soon(deadline)) {
      Entry entry;
      Waiting waiting{Source{}, &item, false};
      Armed armed;
      armed.begin(self, entry);
      if (enlist_getter(entry, waiting, keeps_place)) {
        const Outcome outcome = wait_in(armed.take(), deadline, [&] { withdraw_getter(entry); });
        if (waiting.moved || outcome == kTimedOut || outcome == kRefused) return;
        keeps_place = true;
      }
    }
    if (try_get(item) != Result::NotNow) return;
  }
}

// Empty at the moment of the second look, if so: what is counted as taken out only grows, up to what is counted as put in. Does
// not look at the other side while there is known to be something.
template <class Store>
inline bool QueueCore<Store>::seems_empty() const noexcept {
  if constexpr (!kTwoSided) {
    return in_.word.load(std::memory_order_acquire) < kOne;
  } else {
    const std::uint64_t taken_out = count_in(out_.word.load(std::memory_order_acquire));
    return out_.known_in.load(std::memory_order_relaxed) <= taken_out &&
           count_in(in_.word.load(std::memory_order_acquire)) == taken_out;
  }
}

// Under the in bit nothing can be put in. What somebody is just taking out still counts.
template <class Store>
bool QueueCore<Store>::is_empty(const Guard& in) const noexcept {
  if constexpr (!kTwoSided) return in.value() < kOne;
  return count_in(in.value()) == count_in(out_.word.load(std::memory_order_acquire));
}

// Under the out bit nothing can be taken out. What somebody is just putting in does not count yet. A shutdown() marks the end
// with both bits held: whoever has the out bit sees it.
template <class Store>
bool QueueCore<Store>::is_full_and_open(const Guard& out) const noexcept {
  const std::uint64_t in = kTwoSided ? in_.word.load(std::memory_order_acquire) : out.value();
  const std::uint64_t taken_out = kTwoSided ? count_in(out.value()) : 0;
  return !(in & kShutDown) && count_in(in) - taken_out >= maxsize_;
}

// Without the bit: whoever is looked out for must not be held up. If others wait already, what comes is theirs, and looking on
// will have been in vain.
template <class Store>
bool QueueCore<Store>::room_soon(Deadline deadline) noexcept {
  const std::uint64_t seen = out_word().load(std::memory_order_acquire);
  if (size() < maxsize_) return true;
  return patience_of_putters_.wait(out_word(), seen, kList, deadline);
}

template <class Store>
bool QueueCore<Store>::item_soon(Deadline deadline) noexcept {
  const std::uint64_t seen = in_.word.load(std::memory_order_acquire);
  if (size() != 0) return true;
  return patience_of_getters_.wait(in_.word, seen, kList, deadline);
}

template <class Store>
bool QueueCore<Store>::enlist_getter(Entry& entry, Waiting& waiting, bool keeps_place) noexcept {
  const Guard in{in_.word};
  if ((in.value() & kShutDown) || !is_empty(in)) return false;
  link(in_.getters, entry, waiting, keeps_place);
  return true;
}

template <class Store>
bool QueueCore<Store>::enlist_putter(Entry& entry, Waiting& waiting, bool keeps_place) noexcept {
  const Guard out{out_word()};
  if (!is_full_and_open(out)) return false;
  link(out_.putters, entry, waiting, keeps_place);
  return true;
}

template <class Store>
template <class Withdraw>
inline Outcome QueueCore<Store>::wait_in(Context& self, Deadline deadline, Withdraw withdraw) {
  const Outcome outcome = park(self, {.kind = WaitKind::Queue, .object = this, .label = label_}, deadline);
  if (outcome == kTimedOut || outcome == kInterrupted) withdraw();
  if (outcome == kInterrupted) throw_interruption();
  return outcome;
}

template <class Store>
auto QueueCore<Store>::try_put(Source source) -> Result {
  for (;;) {
    const Result result = put_once(source);
    if (result != Result::MustGrow) return result;
    grow();
  }
}

// ---- open tasks, the end ---------------------------------------------------------------------------------------------

template <class Store>
void QueueCore<Store>::task_done() {
  Entry* joined = nullptr;
  {
    Guard in{in_.word};
    if (in_.unfinished == 0) {
      in.release();
      throw_task_done_too_often();
    }
    if (--in_.unfinished == 0) joined = in_.joiners.claim_all();
  }
  deliver_all(joined);
}

template <class Store>
bool QueueCore<Store>::join(Deadline deadline) {
  Entry entry;
  Armed armed;
  armed.begin(current_context(), entry);
  {
    const Guard in{in_.word};
    if (in_.unfinished == 0) return true;
    in_.joiners.push_back(entry);
  }
  return wait_in(armed.take(), deadline, [&] { withdraw(in_.word, in_.joiners, entry); }) == kFired;
}

template <class Store>
void QueueCore<Store>::shutdown(bool immediate) {
  Store dropped = store_.fresh();  // emptied outside: destructors of items are the user's code
  typename Store::Head head{};
  std::size_t count = 0;
  Entry* getters = nullptr;
  Entry* putters = nullptr;
  Entry* joiners = nullptr;
  const auto end = [&](Guard& in, std::uint64_t taken_out) {
    in.set_value(in.value() | kShutDown);
    count = count_in(in.value()) - taken_out;
    if (immediate && count != 0) {
      in_.unfinished -= count;
      dropped.swap(store_);
      head = std::exchange(out_.head, {});
      in_.tail = {};
    }
    if (immediate && in_.unfinished == 0) joiners = in_.joiners.claim_all();
    if (immediate || count == 0) getters = in_.getters.claim_all(kRefused);
    putters = out_.putters.claim_all(kRefused);
  };
  if constexpr (kTwoSided) {
    Guard out{out_.word};
    Guard in{in_.word};
    end(in, count_in(out.value()));
    if (immediate) {
      out.set_value(out.value() + count * kOne);
      out_.known_in.store(count_in(out.value()), std::memory_order_relaxed);
    }
    in.release();  // the word that tells of the end first: whoever finds the out side empty looks there
  } else {
    Guard both{in_.word};
    end(both, 0);
    if (immediate) both.set_value(both.value() - count * kOne);
  }
  deliver_all(getters);
  deliver_all(putters);
  deliver_all(joiners);
  if (immediate) dropped.clear(head, count);
}

}  // namespace weft::detail
