#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include <weft/detail/context.hpp>

#include "engine/spin_lock.hpp"

namespace weft::detail {

class TimerHeap;

/// The deadline of one blocked attempt; lives in the blocked frame. Or the start of a task that is not to start before: its entry
/// has no context then, and the task as payload.
struct Timer {
  Entry entry;  ///< What it claims with kTimedOut.
  TimerHeap* home = nullptr;
  std::uint32_t position = 0;  ///< In the heap; kNowhere when not in it.

  static constexpr std::uint32_t kNowhere = UINT32_MAX;
};

/// The deadlines of the fibers that began to wait on one worker: a 4-ary heap whose timers know their place.
/// Under a lock of its own, nearly always uncontended, because a fiber that has moved takes its timer out directly and
/// an idle worker fires the timers of a busy one (docs/decisions/003).
class TimerHeap {
 public:
  /// Never fails: memory for the heap is the one allocation a timed wait can need, and without it the process ends.
  void add(Timer& timer, std::int64_t when) noexcept;

  /// Afterwards the timer is not in the heap and nobody looks at it. False: it was not, and has been fired.
  static bool remove(Timer& timer) noexcept;

  /// Times out what is due and wakes it; at most a batch a call. True: there may be more.
  bool fire_due(std::int64_t now) noexcept;
  /// Starts tasks that wait in it for their time, not always all of them.
  void start_tasks() noexcept;

  /// When the earliest timer is due; INT64_MAX: none. Any thread, a moment's truth.
  [[nodiscard]] std::int64_t next_due() const noexcept { return next_due_.load(std::memory_order_relaxed); }

 private:
  struct Slot {
    std::int64_t when;
    Timer* timer;
  };

  void place(std::size_t position, Slot slot) noexcept;
  void sift_up(std::size_t position) noexcept;
  void sift_down(std::size_t position) noexcept;
  void take_out(std::size_t position) noexcept;
  void publish() noexcept;

  SpinLock lock_;
  std::vector<Slot> slots_;  // guarded by lock_
  std::atomic<std::int64_t> next_due_{INT64_MAX};
};

}  // namespace weft::detail
