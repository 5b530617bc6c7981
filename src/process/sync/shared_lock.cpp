#include "process/sync/shared_lock.hpp"

#include <chrono>

#include "engine/coarse_clock.hpp"
#include "port/processor.hpp"
#include "process/sync/shared_futex.hpp"

namespace weft::process::detail {

using weft::detail::Interruptible;
using weft::detail::Outcome;

namespace {

constexpr auto kPatienceWithTheStarving = std::chrono::milliseconds{1};
constexpr std::int64_t kStarvesAfter = 1'000'000;
constexpr int kHolderPidShift = 42;

std::uint64_t mark_of_caller() noexcept {
  return std::uint64_t(static_cast<unsigned>(pid_of(this_process_stamp()))) << kHolderPidShift |
         (weft::detail::current_context_id() & ((std::uint64_t{1} << kHolderPidShift) - 1));
}

// For whoever only tries: the last owner that was found alive, not asked about again for a millisecond.
std::atomic<ProcessStamp> last_alive{0};
std::atomic<std::int64_t> last_alive_at{0};

bool is_gone_for_trying(ProcessStamp owner) noexcept {
  if (owner == this_process_stamp()) return false;
  const std::int64_t now = Deadline::now_nanoseconds();
  if (last_alive.load(std::memory_order_relaxed) == owner && now - last_alive_at.load(std::memory_order_relaxed) < 1'000'000) {
    return false;
  }
  if (process_is_gone(owner)) return true;
  last_alive.store(owner, std::memory_order_relaxed);
  last_alive_at.store(now, std::memory_order_relaxed);
  return false;
}

}  // namespace

const std::atomic<std::uint32_t>& SharedLockWord::futex() const noexcept {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
  // For the kernel, and for looks at it: operations on atomics are not moved past each other by what they are made of.
  const void* const low_half = &state_;
  return *static_cast<const std::atomic<std::uint32_t>*>(low_half);
}

[[gnu::noinline]] void SharedLockWord::note_holder() noexcept { holder_.store(mark_of_caller(), std::memory_order_relaxed); }

bool SharedLockWord::held_by_caller() const noexcept {
  // Only the caller itself can have made both so, and takes its mark back before it lets go: no order is needed.
  return owner() == this_process_stamp() && holder_.load(std::memory_order_relaxed) == mark_of_caller();
}

// Acquire: a mark of before this owner has been taken back. Of one who has just taken it, and not made his mark yet, the
// pid tells what a dead process has left.
weft::detail::FarHolder SharedLockWord::holder() const noexcept {
  const ProcessStamp process = state_.load(std::memory_order_acquire) & kStampMask;
  const std::uint64_t mark = holder_.load(std::memory_order_relaxed);
  if (process == 0 || mark >> kHolderPidShift != static_cast<unsigned>(pid_of(process))) return {};
  return {process, mark & ((std::uint64_t{1} << kHolderPidShift) - 1)};
}

std::size_t SharedLockWord::holders(const void* lock, std::uint64_t* ids, std::size_t) noexcept {
  const weft::detail::FarHolder holder = static_cast<const SharedLockWord*>(lock)->holder();
  if (holder.process != this_process_stamp()) return 0;
  ids[0] = holder.context;
  return 1;
}

weft::detail::FarHolder SharedLockWord::far_holder() const noexcept {
  const weft::detail::FarHolder found = holder();
  return found.process == this_process_stamp() ? weft::detail::FarHolder{} : found;
}

// If it is free, whatever else the word says.
bool SharedLockWord::take(std::uint64_t clearing, std::uint64_t setting) noexcept {
  std::uint64_t seen = state_.load(std::memory_order_relaxed);
  while ((seen & kStampMask) == 0) {
    if (state_.compare_exchange_weak(seen, (seen & ~clearing) | setting | this_process_stamp(), std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
      note_holder();
      return true;
    }
  }
  return false;
}

bool SharedLockWord::try_lock_slowly() noexcept {
  if (take(0, 0)) return true;
  const std::uint64_t seen = state_.load(std::memory_order_relaxed);
  if ((seen & kStampMask) != 0 && is_gone_for_trying(seen & kStampMask)) bury(seen);
  return take(0, 0);
}

// The owner is gone: his lock is free, and marked. Whoever comes too late finds another word. Release: passes on what
// the dead one wrote, as far as it was seen.
void SharedLockWord::bury(std::uint64_t seen) noexcept {
  if (state_.compare_exchange_strong(seen, (seen & ~kStampMask) | kOwnerDied, std::memory_order_acq_rel,
                                     std::memory_order_relaxed)) {
    shared_wake(futex(), kWakeAll);
  }
}

bool SharedLockWord::look(void* lock) noexcept {
  auto& self = *static_cast<SharedLockWord*>(lock);
  const std::uint64_t seen = self.state_.load(std::memory_order_relaxed);
  if ((seen & kStampMask) == 0) return true;
  if (!watched_process_is_gone(seen & kStampMask)) return false;
  self.bury(seen);
  return true;
}

// As Lock's: a few looks, far apart, about two microseconds in all.
bool SharedLockWord::spin() noexcept {
  for (int look = 0; look < 10; ++look) {
    for (int i = 0; i < 20; ++i) port::processor_pause();
    if (!(state_.load(std::memory_order_relaxed) & kStarving) && take(0, 0)) return true;
  }
  return false;
}

bool SharedLockWord::lock_slowly(Deadline deadline, Interruptible interruptible, Described what) {
  if (!(state_.load(std::memory_order_relaxed) & kStarving) && take(0, 0)) return true;  // it was free, but for its marks
  if (!weft::detail::current_context().is_fiber() && spin()) return true;
  const weft::detail::Wait record{.kind = what.kind, .object = this, .label = what.label, .holders = &holders, .outside = true};
  bool has_slept = false;
  std::int64_t first_woken = 0;
  for (;;) {
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    const bool free = (seen & kStampMask) == 0;
    if (free && (has_slept || !(seen & kStarving))) {
      // One who has slept may have been the only one that was woken, and others sleep still: his unlock wakes the next.
      if (take(has_slept ? kStarving : 0, has_slept ? kContended : 0)) return true;
      continue;
    }
    std::uint64_t flags = kContended;
    if (first_woken != 0 && Deadline::now_nanoseconds() - first_woken > kStarvesAfter) flags |= kStarving;
    if ((seen & flags) != flags && !state_.compare_exchange_weak(seen, seen | flags, std::memory_order_relaxed)) continue;
    // Nobody else need exist to take a free one that is promised: for a millisecond only.
    const Deadline until = free ? Deadline::earlier(deadline, Deadline::after(kPatienceWithTheStarving)) : deadline;
    const Outcome outcome = shared_wait(futex(), static_cast<std::uint32_t>(seen | flags), record, until, interruptible,
                                        {&look, this});
    if (outcome == weft::detail::kInterrupted) weft::detail::throw_interruption();
    if (outcome == weft::detail::kTimedOut && (!free || deadline.has_passed())) return try_lock_slowly();
    has_slept = true;
    if (first_woken == 0) first_woken = Deadline::now_nanoseconds();
  }
}

bool SharedLockWord::unlock_slowly() noexcept {
  std::uint64_t seen = state_.load(std::memory_order_relaxed);
  do {
    if ((seen & kStampMask) == 0) return false;
  } while (!state_.compare_exchange_weak(seen, seen & ~kStampMask, std::memory_order_release, std::memory_order_relaxed));
  if (!(seen & kContended)) return true;
  // Nobody slept: those who were about to will find the word changed, and those who come later set the bit again. If
  // another one has taken it since, the bit is his affair.
  std::uint64_t free = seen & ~kStampMask;
  if (shared_wake(futex(), 1) == 0) {
    state_.compare_exchange_strong(free, free & ~(kContended | kStarving), std::memory_order_relaxed);
  }
  return true;
}

}  // namespace weft::process::detail
