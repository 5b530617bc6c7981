#include "engine/timer_heap.hpp"

#include <algorithm>
#include <mutex>

#include <weft/detail/task.hpp>

namespace weft::detail {

namespace {

constexpr std::size_t kArity = 4;
constexpr std::size_t kBatch = 64;

/// Timers that have been taken out, by their entries.
class Fired {
 public:
  void push_back(Entry& entry) noexcept {
    entry.next = nullptr;
    *last_ = &entry;
    last_ = &entry.next;
  }
  // In the order in which they were due. An entry is gone once delivered, a task's once it runs.
  void let_go() noexcept {
    while (Entry* entry = first_) {
      first_ = entry->next;
      if (entry->context) {
        deliver(*entry);
      } else {
        static_cast<Task*>(entry->payload)->start_now();
      }
    }
  }

 private:
  Entry* first_ = nullptr;
  Entry** last_ = &first_;
};

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

bool TimerHeap::remove(Timer& timer) noexcept {
  TimerHeap& home = *timer.home;
  // Under the lock: while fire_due() looks at this timer it holds it, and after that the timer is nowhere.
  const std::lock_guard guard{home.lock_};
  if (timer.position == Timer::kNowhere) return false;
  home.take_out(timer.position);
  home.publish();
  return true;
}

bool TimerHeap::fire_due(std::int64_t now) noexcept {
  if (next_due() > now) return false;
  Fired due;
  bool more = true;
  {
    const std::lock_guard guard{lock_};
    std::size_t fired = 0;
    while (fired < kBatch && !slots_.empty() && slots_.front().when <= now) {
      Timer& timer = *slots_.front().timer;
      take_out(0);
      ++fired;
      // After losing this claim the timer may be gone as soon as the lock is released; after winning it, stays until
      // deliver(). A task's is ours: it can only be started by whoever took its timer out.
      if (!timer.entry.context || claim(timer.entry, kTimedOut)) due.push_back(timer.entry);
    }
    more = !slots_.empty() && slots_.front().when <= now;
    publish();
  }
  due.let_go();
  return more;
}

void TimerHeap::start_tasks() noexcept {
  Fired started;
  {
    const std::lock_guard guard{lock_};
    for (std::size_t i = 0; i < slots_.size();) {
      Timer& timer = *slots_[i].timer;
      if (timer.entry.context) {
        ++i;
      } else {
        take_out(i);
        started.push_back(timer.entry);
      }
    }
    publish();
  }
  started.let_go();
}

}  // namespace weft::detail
