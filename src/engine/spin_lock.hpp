#pragma once

#include <atomic>

#include <weft/detail/wait_list.hpp>

namespace weft::detail {

/// For a few instructions that never block and never throw. Not std::mutex: ThreadSanitizer would take the scheduler's
/// own locking for synchronization between the fibers that pass through it, and miss their races. Always inlined, so that
/// it is instrumented where its caller is, and only there.
class SpinLock {
 public:
  [[gnu::always_inline]] void lock() noexcept {
    Backoff backoff;
    while (locked_.exchange(true, std::memory_order_acquire)) backoff.pause();
  }
  [[gnu::always_inline]] bool try_lock() noexcept { return !locked_.exchange(true, std::memory_order_acquire); }
  [[gnu::always_inline]] void unlock() noexcept { locked_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> locked_{false};
};

}  // namespace weft::detail
