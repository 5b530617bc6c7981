#pragma once

// The third part of queue_core.hpp: waiting, open tasks, the end.

#include <algorithm>
#include <utility>

#include <weft/detail/queue_core.hpp>

namespace weft::detail {

template <class Store>
bool QueueCore<Store>::put(Source source, Deadline deadline, MayWait may_wait, const Wait* as) {
  const Result result = put_once(source);
  return result == Result::Done || put_slowly(source, deadline, may_wait, result, as);
}

template <class Store>
bool QueueCore<Store>::put_slowly(Source source, Deadline deadline, MayWait may_wait, Result result, const Wait* as) {
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
    const Outcome outcome = wait_in(armed.take(), deadline, [&] { withdraw_putter(entry); }, as);
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

template <class Store>
auto QueueCore<Store>::take() -> Value {
  std::optional<Guard> out;
  /// Unless the item was taken.
  struct PassOn {
    QueueCore& queue;
    std::optional<Guard>& out;
    bool armed = false;
    ~PassOn() {
      if (!armed) return;
      out.reset();
      queue.tell_next_taker();
    }
  } pass_on{*this, out};
  lock_for_take(out);
  pass_on.armed = true;
  Value item = store_.pop(out_.head);
  pass_on.armed = false;
  out->set_value(kTwoSided ? out->value() + kOne : out->value() - kOne);
  if (!out_.putters.empty()) admit_and_release(*out);
  return item;  // is where the caller wants it: compilers make it there if it is in the outermost block
}

/// With the out bit, and an item.
template <class Store>
void QueueCore<Store>::lock_for_take(std::optional<Guard>& out) {
  Context& self = current_context();
  bool keeps_place = false;
  for (;;) {
    const Result result = supply(out.emplace(out_word()));
    if (result == Result::Done) return;
    out.reset();
    if (result == Result::ShutDown) throw_queue_shut_down("get from");
    Entry entry;
    Armed armed;
    armed.begin(self, entry);
    if (!enlist_taker(entry, keeps_place)) continue;
    (void)wait_in(armed.take(), Deadline::never(), [&] { withdraw(in_.word, in_.takers, entry); });
    keeps_place = true;
  }
}

template <class Store>
bool QueueCore<Store>::enlist_taker(Entry& entry, bool keeps_place) noexcept {
  const Guard in{in_.word};
  if ((in.value() & kShutDown) || !is_empty(in)) return false;
  keeps_place ? in_.takers.push_front(entry) : in_.takers.push_back(entry);
  return true;
}

template <class Store>
void QueueCore<Store>::tell_next_taker() noexcept {
  Entry* told = nullptr;
  {
    const Guard in{in_.word};
    if (!is_empty(in)) told = in_.takers.claim_front();
  }
  if (told) deliver(*told);
}

template <class Store>
void QueueCore<Store>::put_back(Source source) noexcept {
  static_assert(!kTwoSided && !kHasTakers);
  Guard both{in_.word};
  if (Entry* getter = in_.getters.claim_front()) {
    auto& waiting = *static_cast<Waiting*>(getter->payload);
    Store::hand_over(source, *waiting.target);
    waiting.moved = true;
    both.release();
    deliver(*getter);
    return;
  }
  store_.push_front(source);
  both.set_value(both.value() + kOne);
}

// Empty at the moment of the second look, if so: what is counted as taken out only grows, up to what is counted as put
// in. Does not look at the other side while there is known to be something.
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

// Under the out bit nothing can be taken out. What somebody is just putting in does not count yet. A shutdown() marks
// the end with both bits held: whoever has the out bit sees it.
template <class Store>
bool QueueCore<Store>::is_full_and_open(const Guard& out) const noexcept {
  const std::uint64_t in = kTwoSided ? in_.word.load(std::memory_order_acquire) : out.value();
  const std::uint64_t taken_out = kTwoSided ? count_in(out.value()) : 0;
  return !(in & kShutDown) && count_in(in) - taken_out >= maxsize_;
}

// Without the bit: whoever is looked out for must not be held up. If others wait already, what comes is theirs, and
// looking on will have been in vain.
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
inline Outcome QueueCore<Store>::wait_in(Context& self, Deadline deadline, Withdraw withdraw, const Wait* as) {
  const Wait record = as ? *as : Wait{.kind = WaitKind::Queue, .object = this, .label = label_};
  const Outcome outcome = park(self, record, deadline);
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

// ---- open tasks, the end --------------------------------------------------------------------------------------------

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
  Entry* takers = nullptr;
  Entry* putters = nullptr;
  Entry* joiners = nullptr;
  const auto end = [&](Guard& in, std::uint64_t taken_out) {
    in.set_value(in.value() | kShutDown);
    count = count_in(in.value()) - taken_out;
    if (immediate && count != 0) {
      in_.unfinished -= std::min(in_.unfinished, count);  // somebody may have said task_done() in advance
      dropped.swap(store_);
      head = std::exchange(out_.head, {});
      in_.tail = {};
    }
    if (immediate && in_.unfinished == 0) joiners = in_.joiners.claim_all();
    if (immediate || count == 0) getters = in_.getters.claim_all(kRefused);
    if constexpr (kHasTakers) takers = in_.takers.claim_all(kRefused);  // in any case: one may be about to take the last item
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
    in.release();  // first: whoever has the out bit next finds the end marked
  } else {
    Guard both{in_.word};
    end(both, 0);
    if (immediate) both.set_value(both.value() - count * kOne);
  }
  deliver_all(getters);
  deliver_all(takers);
  deliver_all(putters);
  deliver_all(joiners);
  if (immediate) dropped.clear(head, count);
}

}  // namespace weft::detail
