#pragma once

// The second part of queue_core.hpp: putting and taking one item, without waiting.

#include <algorithm>

#include <weft/detail/queue_core.hpp>

namespace weft::detail {

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
  if constexpr (kHasTakers) {
    Entry* told = in_.takers.claim_front();
    in.release();
    if (told) deliver(*told);
  }
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
  const auto chain = [&last](Entry& entry) {
    *last = &entry;
    last = &entry.next;
  };
  while (count_in(in.value()) - taken_out < std::min(maxsize_, store_.capacity())) {
    Entry* putter = out_.putters.claim_front();
    if (!putter) break;
    chain(*putter);
    auto& waiting = *static_cast<Waiting*>(putter->payload);
    try {
      store_.push(in_.tail, waiting.source);
      waiting.moved = true;
      ++in_.unfinished;
      in.set_value(in.value() + kOne);
    } catch (...) {
      continue;
    }
    if constexpr (kHasTakers) {
      if (Entry* told = in_.takers.claim_front()) chain(*told);
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

}  // namespace weft::detail
