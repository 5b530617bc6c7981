#include "engine/timer_heap.hpp"

#include <algorithm>
#include <mutex>

namespace weft::detail {

namespace {

constexpr std::size_t kArity = 4;
constexpr std::size_t kBatch = 64;

}  // namespace

void TimerHeap::place(std::size_t position, Slot slot) noexcept {
  slots_[position] = slot;
  slot.timer->position = static_cast<std::uint32_t>(position);
}

void TimerHeap::sift_up(std::size_t position) noexcept {
  const Slot slot = slots_[position];
  while (position > 0) {
    const std::size_t parent = (position - 1) / kArity;
    if (slots_[parent].when <= slot.when) break;
    place(position, slots_[parent]);
    position = parent;
  }
  place(position, slot);
}

void TimerHeap::sift_down(std::size_t position) noexcept {
  const Slot slot = slots_[position];
  for (;;) {
    const std::size_t first = position * kArity + 1;
    if (first >= slots_.size()) break;
    std::size_t least = first;
    for (std::size_t child = first + 1; child < std::min(first + kArity, slots_.size()); ++child) {
      if (slots_[child].when < slots_[least].when) least = child;
    }
    if (slot.when <= slots_[least].when) break;
    place(position, slots_[least]);
    position = least;
  }
  place(position, slot);
}

void TimerHeap::take_out(std::size_t position) noexcept {
  slots_[position].timer->position = Timer::kNowhere;
  const Slot last = slots_.back();
  slots_.pop_back();
  if (position == slots_.size()) return;
  place(position, last);
  sift_up(position);
  sift_down(last.timer->position);
}

void TimerHeap::publish() noexcept {
  next_due_.store(slots_.empty() ? INT64_MAX : slots_.front().when, std::memory_order_relaxed);
}

void TimerHeap::add(Timer& timer, std::int64_t when) noexcept {
  timer.home = this;
  const std::lock_guard guard{lock_};
  slots_.push_back({when, &timer});
  sift_up(slots_.size() - 1);
  publish();
}

void TimerHeap::remove(Timer& timer) noexcept {
  TimerHeap& home = *timer.home;
  // Under the lock: while fire_due() looks at this timer it holds it, and after that the timer is nowhere.
  const std::lock_guard guard{home.lock_};
  if (timer.position == Timer::kNowhere) return;
  home.take_out(timer.position);
  home.publish();
}

bool TimerHeap::fire_due(std::int64_t now) noexcept {
  if (next_due() > now) return false;
  Entry* claimed = nullptr;
  Entry** last = &claimed;
  bool more = true;
  {
    const std::lock_guard guard{lock_};
    std::size_t fired = 0;
    while (fired < kBatch && !slots_.empty() && slots_.front().when <= now) {
      Timer& timer = *slots_.front().timer;
      take_out(0);
      ++fired;
      // After losing this claim the timer may be gone as soon as the lock is released; after winning it, stays until
      // deliver().
      if (!claim(timer.entry, kTimedOut)) continue;
      timer.entry.next = nullptr;
      *last = &timer.entry;
      last = &timer.entry.next;
    }
    more = !slots_.empty() && slots_.front().when <= now;
    publish();
  }
  deliver_all(claimed);
  return more;
}

}  // namespace weft::detail
