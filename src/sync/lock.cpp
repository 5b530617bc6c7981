#include <weft/sync/lock.hpp>

#include <weft/base/error.hpp>

#include "port/processor.hpp"

namespace weft {

using detail::Interruptible;
using detail::Context;
using detail::Entry;
using detail::Outcome;

namespace {

constexpr std::int64_t kHandOffAfter = 1'000'000;  // nanoseconds a waiter is passed over, and between two hand-offs
constexpr Outcome kRetry = 2;                      // woken to compete
constexpr Outcome kHandedOver = 3;                 // woken as the holder

/// What a waiter's entry carries: when it was first passed over.
struct Passed {
  std::int64_t since = 0;
};

}  // namespace

std::size_t Lock::holders(const void* lock, std::uint64_t* ids, std::size_t) noexcept {
  ids[0] = static_cast<const Lock*>(lock)->owner();
  return ids[0] != 0 ? 1 : 0;
}

bool Lock::try_lock() {
  const std::uint64_t mine = detail::current_context_id() << kOwnerShift;
  std::uint64_t seen = state_.load(std::memory_order_relaxed);
  while (seen >> kOwnerShift == 0) {
    if (seen & kList) return false;  // somebody is just passing it on, or queueing
    if (state_.compare_exchange_weak(seen, seen | mine, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  }
  return false;
}

// Only with the list bit clear: a release in progress must not find its lock gone, destroyed by the one it let in.
bool Lock::take(std::uint64_t mine, std::uint64_t clearing) noexcept {
  std::uint64_t seen = state_.load(std::memory_order_relaxed);
  while (seen >> kOwnerShift == 0 && !(seen & kList)) {
    if (state_.compare_exchange_weak(seen, (seen & ~clearing) | mine, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

// Threads look again a few times, far apart: looking often would slow the holder down, which has the line. About two
// microseconds in all, less than going to sleep costs. Fibers never spin: the holder may need their worker.
bool Lock::spin(std::uint64_t mine, std::uint64_t clearing) noexcept {
  for (int look = 0; look < 10; ++look) {
    for (int i = 0; i < 20; ++i) port::processor_pause();
    if (take(mine, clearing)) return true;
  }
  return false;
}

void Lock::lock_slowly() { (void)acquire(Deadline::never(), Interruptible::ByDeadlock); }

// For Condition, which must hold it whatever happens.
void Lock::lock_again() {
  if (!try_lock()) (void)acquire(Deadline::never(), Interruptible::No);
}

bool Lock::lock_until(Deadline deadline) { return acquire(deadline, Interruptible::Yes); }

bool Lock::acquire(Deadline deadline, Interruptible interruptible) {
  Context& self = detail::current_context();
  const std::uint64_t mine = self.id << kOwnerShift;
  std::uint64_t clearing = 0;  // kWoken, once we are the woken waiter: whoever that is clears it
  Passed passed;
  for (;;) {
    if (take(mine, clearing) || (!self.is_fiber() && spin(mine, clearing))) return true;
    Entry entry;
    entry.payload = &passed;
    if (!detail::arm(self, entry, interruptible)) {
      if (clearing) {  // the lock may be free and nobody else on the way to it
        Guard guard{state_};
        guard.set_value(guard.value() & ~kWoken);
        if (guard.value() >> kOwnerShift == 0) pass_on(guard);
      }
      detail::throw_interruption();
    }
    {
      Guard guard{state_};
      if (guard.value() >> kOwnerShift == 0) {
        guard.set_value((guard.value() & ~clearing) | mine);
        guard.release();
        // Armed but in no list: a kill may have decided it, but the lock is ours, and that counts.
        detail::disarm_granted(self);
        return true;
      }
      // One that was woken and came too late keeps its place.
      clearing ? waiters_.push_front(entry) : waiters_.push_back(entry);
      if (clearing && passed.since == 0) passed.since = Deadline::now_nanoseconds();
      guard.set_value((guard.value() & ~clearing) | kWaiters);
    }
    const Outcome outcome = detail::park(self, {kind_, this, label_, &holders}, deadline);
    if (outcome == kHandedOver) return true;
    if (outcome == kRetry) {
      clearing = kWoken;
      continue;
    }
    Guard guard{state_};
    if (entry.linked) waiters_.remove(entry);
    if (waiters_.empty()) guard.set_value(guard.value() & ~kWaiters);
    guard.release();
    if (outcome == detail::kInterrupted) detail::throw_interruption();
    return false;
  }
}

void Lock::unlock_slowly() {
  const std::uint64_t mine = detail::current_context_id();
  std::uint64_t seen = state_.load(std::memory_order_relaxed);
  if (seen >> kOwnerShift != mine) {
    throw InvalidStateError{"unlock Lock " + label_.text() + ": the caller does not hold it"};
  }
  // Somebody woken is on its way already: just let go. Unless that was in the parent of a forked process.
  const bool on_its_way = woken_in_.load(std::memory_order_relaxed) == detail::this_process();
  while (on_its_way && (seen & kWoken) && !(seen & kList)) {
    if (state_.compare_exchange_weak(seen, seen & kFlags, std::memory_order_release, std::memory_order_relaxed)) return;
  }
  Guard guard{state_};
  guard.set_value(guard.value() & (on_its_way ? kFlags : kFlags & ~kWoken));
  pass_on(guard);
}

// The lock is free in the guard's value, and nobody is on the way. Wakes the first waiter to compete for it, or, if that
// one has been passed over for a millisecond, makes it the holder.
void Lock::pass_on(Guard& guard) noexcept {
  if (guard.value() & kWoken) return;
  Entry* chosen = nullptr;
  while (Entry* first = waiters_.front()) {
    const auto& passed = *static_cast<Passed*>(first->payload);
    bool hand_over = false;
    if (passed.since != 0) {
      const std::int64_t now = Deadline::now_nanoseconds();
      hand_over = now - passed.since > kHandOffAfter &&
                  now - last_handoff_.load(std::memory_order_relaxed) > kHandOffAfter;
      if (hand_over) last_handoff_.store(now, std::memory_order_relaxed);
    }
    waiters_.remove(*first);
    const std::uint64_t its_id = first->context->id;
    if (!detail::claim(*first, hand_over ? kHandedOver : kRetry)) continue;
    chosen = first;
    woken_in_.store(detail::this_process(), std::memory_order_relaxed);
    guard.set_value(guard.value() | (hand_over ? its_id << kOwnerShift : kWoken));
    break;
  }
  if (waiters_.empty()) guard.set_value(guard.value() & ~kWaiters);
  guard.release();
  if (chosen) detail::deliver(*chosen);
}

}  // namespace weft
