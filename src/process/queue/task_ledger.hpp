#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "process/memory/process_stamp.hpp"

namespace weft::process::detail {

/// Which process has taken how many tasks from a JoinableQueue, and has said of how many that they are done: by it join() learns that
/// those which are missing were in the hands of processes that have ended. In memory that processes share; zeroed, it is empty.
///
/// An entry is changed by its own process only, by one that takes under the lock of the taking side. A task is entered before it is
/// taken, and as done after it was counted so: a process that is killed in between appears to have one more than it had, never one less.
/// Nobody is misled by that, as join() gives up only when no other process has any, and none is left in the queue.
class TaskLedger {
 public:
  /// Under the lock of the taking side, just before the caller's process takes one.
  void note_taken() noexcept;
  /// After it was counted as done. By a process that has none: nothing.
  void note_done() noexcept;

  /// Whether some process that has ended has tasks that it did not say are done, and none that lives has any. `is_gone`: of a stamp.
  /// To be relied on only if nothing was taken or done meanwhile.
  template <class IsGone>
  [[nodiscard]] bool are_all_in_dead_hands(IsGone is_gone) const noexcept {
    bool lost = lost_.load(std::memory_order_acquire) != 0;
    if (incomplete_.load(std::memory_order_acquire) != 0) return false;
    for (const Entry& entry : entries_) {
      const ProcessStamp who = entry.who.load(std::memory_order_acquire);
      if (who == 0 || !entry.has_any()) continue;
      if (!is_gone(who)) return false;
      lost = true;
    }
    return lost;
  }

 private:
  struct Entry {
    std::atomic<ProcessStamp> who;  // 0: free
    std::atomic<std::uint64_t> taken;
    std::atomic<std::uint64_t> done;

    /// Acquire: who sees it done sees it counted.
    [[nodiscard]] bool has_any() const noexcept {
      const std::uint64_t finished = done.load(std::memory_order_acquire);
      return taken.load(std::memory_order_acquire) > finished;
    }
  };
  static constexpr std::size_t kMost = 64;

  [[nodiscard]] Entry* own_entry() noexcept;
  [[nodiscard]] Entry* free_entry() noexcept;

  Entry entries_[kMost];
  std::atomic<std::uint32_t> lost_;        // an entry of a dead process that had some was used again
  std::atomic<std::uint32_t> incomplete_;  // more living processes had taken tasks than there are entries: no longer kept
};

}  // namespace weft::process::detail
