#pragma once

#include <atomic>
#include <cstdint>

#include <weft/base/deadline.hpp>
#include <weft/base/label.hpp>
#include <weft/detail/context.hpp>

#include "engine/waits.hpp"
#include "process/memory/process_stamp.hpp"

namespace weft::process::detail {

/// Mutual exclusion among the contexts of all processes that map it: what every object that processes share stands
/// on. Zeroed memory is a free one. It survives the end of its owner at any instruction: the next one takes it, and
/// is told.
///
/// The word of state: bits 3-63 the owner's ProcessStamp, 0: free;
///   bit 0 contended: somebody may sleep, so that an unlock wakes one. Set by whoever goes to sleep, and by one who
///     has slept as he takes it, on behalf of those who may sleep behind him; cleared by an unlock that found nobody.
///   bit 1 starving: somebody who was woken has been passed over for a millisecond. Those who come now stand back for
///     one.
///   bit 2 an owner died. Stays until recovered().
///
/// A kill at each place:
///   between taking it and anything else   the owner in the word is gone: a waiter's process notices (below), clears
///                                         the owner, sets bit 2 and wakes all
///   between letting go and waking         the word is free, sleepers expect an owner: their processes notice
///                                         the difference
///   woken, before taking it               the same
///   asleep                                the contended bit is left over: one unlock makes a system call for nothing
/// Noticed: shared_wait() compares each sleeper's word with what it expects, and looks whether the owner lives, at
/// intervals, and when a process ends that it has seen as an owner. So nobody sleeps for ever on a free lock, nor
/// behind a dead owner, whatever was lost; and nobody's step is needed to get there but one's own process's.
class SharedLockWord {
 public:
  /// How a wait for it appears in reports.
  struct Described {
    weft::detail::WaitKind kind = weft::detail::WaitKind::Lock;
    Label label = {};
  };

  /// False: somebody lives who holds it.
  [[nodiscard]] bool try_lock() noexcept {
    std::uint64_t free = 0;
    // Acquire: sees what the last owner released.
    if (state_.compare_exchange_strong(free, this_process_stamp(), std::memory_order_acquire, std::memory_order_relaxed)) [[likely]] {
      note_holder();
      return true;
    }
    return try_lock_slowly();
  }

  /// False: not before the deadline. Throws what interrupts a wait, as far as `interruptible` allows it.
  [[nodiscard]] bool lock_until(Deadline deadline, weft::detail::Interruptible interruptible, Described what) {
    std::uint64_t free = 0;
    if (state_.compare_exchange_strong(free, this_process_stamp(), std::memory_order_acquire, std::memory_order_relaxed)) [[likely]] {
      note_holder();
      return true;
    }
    return lock_slowly(deadline, interruptible, what);
  }
  /// Nothing ends the wait but the lock.
  void lock(Described what) noexcept { (void)lock_until(Deadline::never(), weft::detail::Interruptible::No, what); }

  /// By whoever is entitled to: not necessarily the one who took it. False: it was free.
  [[nodiscard]] bool unlock() noexcept {
    std::uint64_t mine = this_process_stamp();
    holder_.store(0, std::memory_order_relaxed);
    if (state_.compare_exchange_strong(mine, 0, std::memory_order_release, std::memory_order_relaxed)) [[likely]] return true;
    return unlock_slowly();
  }

  /// Of its owner. Whether one died while he held it, since the last recovered().
  [[nodiscard]] bool owner_died() const noexcept { return (state_.load(std::memory_order_acquire) & kOwnerDied) != 0; }
  void recovered() noexcept { state_.fetch_and(~kOwnerDied, std::memory_order_release); }

  /// Whether anybody holds it: a moment ago.
  [[nodiscard]] bool locked() const noexcept { return owner() != 0; }
  [[nodiscard]] ProcessStamp owner() const noexcept { return state_.load(std::memory_order_acquire) & kStampMask; }
  /// Whether the calling context took it.
  [[nodiscard]] bool held_by_caller() const noexcept;

  /// weft::detail::Holders of a SharedLockWord: a context of this process, if it is one.
  [[nodiscard]] static std::size_t holders(const void* lock, std::uint64_t* ids, std::size_t most) noexcept;
  /// The context of another process that holds it; process 0: there is none, or it is not known.
  [[nodiscard]] weft::detail::FarHolder far_holder() const noexcept;

 private:
  static constexpr std::uint64_t kContended = 1, kStarving = 2, kOwnerDied = 4;

  void note_holder() noexcept;
  [[nodiscard]] weft::detail::FarHolder holder() const noexcept;
  [[nodiscard]] bool take(std::uint64_t clearing, std::uint64_t setting) noexcept;
  [[nodiscard]] bool try_lock_slowly() noexcept;
  [[nodiscard]] bool lock_slowly(Deadline deadline, weft::detail::Interruptible interruptible, Described what);
  [[nodiscard]] bool unlock_slowly() noexcept;
  [[nodiscard]] bool spin() noexcept;
  void bury(std::uint64_t seen) noexcept;
  [[nodiscard]] static bool look(void* lock) noexcept;
  [[nodiscard]] const std::atomic<std::uint32_t>& futex() const noexcept;

  std::atomic<std::uint64_t> state_{0};
  // Which context of the owner it is: bits 42-63 the pid, below the context's id. Its own while it holds the lock; 0
  // when not known. The pid keeps a dead process's mark from passing for one of ours, before the next owner has made
  // his.
  std::atomic<std::uint64_t> holder_{0};
};

/// Holds the lock of an object's own state for a few steps. The caller repairs what a dead owner left behind, if told.
class SharedGuard {
 public:
  SharedGuard(SharedLockWord& lock, SharedLockWord::Described what) noexcept : lock_{lock} { lock_.lock(what); }
  SharedGuard(const SharedGuard&) = delete;
  SharedGuard& operator=(const SharedGuard&) = delete;
  ~SharedGuard() {
    if (held_) (void)lock_.unlock();
  }

  /// Whether there is something to be repaired. Then repair, and recovered(): in this order, so that a kill in
  /// between leaves it to the next.
  [[nodiscard]] bool owner_died() const noexcept { return lock_.owner_died(); }
  void recovered() noexcept { lock_.recovered(); }

  void release() noexcept {
    held_ = false;
    (void)lock_.unlock();
  }
  void lock_again(SharedLockWord::Described what) noexcept {
    lock_.lock(what);
    held_ = true;
  }

 private:
  SharedLockWord& lock_;
  bool held_ = true;
};

}  // namespace weft::process::detail
