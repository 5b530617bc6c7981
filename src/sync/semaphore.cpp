#include <weft/sync/semaphore.hpp>

#include <algorithm>
#include <string>

#include <weft/base/error.hpp>

namespace weft {

using detail::Context;
using detail::Entry;

Semaphore::Semaphore(std::uint32_t permits, const char* name, std::source_location site)
    : Semaphore{permits, max_value(), {name, site}} {}

Semaphore::Semaphore(std::uint32_t permits, std::uint32_t limit, Label label)
    : state_{std::uint64_t{permits} << kCountShift}, limit_{limit}, label_{label} {
  if (permits > max_value()) fail_too_many(permits);
}

void Semaphore::fail_too_many(std::uint64_t permits) const {
  throw InvalidStateError{"a Semaphore cannot hold " + std::to_string(permits) + " permits; the most of this one is " +
                          std::to_string(std::min(limit_, max_value()))};
}

bool Semaphore::try_acquire() noexcept {
  std::uint64_t seen = state_.load(std::memory_order_relaxed);
  // With the list bit clear only, see Event; a permit is never left while somebody waits.
  while (seen >= kOne && !(seen & kList)) {
    if (state_.compare_exchange_weak(seen, seen - kOne, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  }
  return false;
}

bool Semaphore::try_acquire_until(Deadline deadline) {
  if (try_acquire()) return true;
  Context& self = detail::current_context();
  Entry entry;
  if (!detail::arm(self, entry, detail::Interruptible::Yes)) detail::throw_interruption();
  {
    Guard guard{state_};
    if (guard.value() >= kOne) {
      guard.set_value(guard.value() - kOne);
      guard.release();
      detail::disarm_granted(self);
      return true;
    }
    waiters_.push_back(entry);
    guard.set_value(guard.value() | kWaiters);
  }
  const detail::Outcome outcome = detail::park(self, {detail::WaitKind::Semaphore, this, label_}, deadline);
  if (outcome == detail::kFired) return true;  // the permit was handed over
  withdraw(entry);
  if (outcome == detail::kInterrupted) detail::throw_interruption();
  return false;
}

void Semaphore::withdraw(Entry& entry) noexcept {
  Guard guard{state_};
  if (entry.linked) waiters_.remove(entry);
  if (waiters_.empty()) guard.set_value(guard.value() & ~kWaiters);
}

bool Semaphore::AcquireWay::try_now() {
  if (semaphore_.value() == 0) return false;
  Guard guard{semaphore_.state_};
  if (guard.value() < kOne) return false;
  guard.set_value(guard.value() - kOne);
  return true;
}

bool Semaphore::AcquireWay::enlist() noexcept {
  Guard guard{semaphore_.state_};
  if (guard.value() >= kOne) return false;
  semaphore_.waiters_.push_back(entry);
  guard.set_value(guard.value() | kWaiters);
  return true;
}

void Semaphore::release(std::uint32_t permits) {
  std::uint64_t seen = state_.load(std::memory_order_relaxed);
  while (!(seen & (kList | kWaiters))) {
    const std::uint64_t total = (seen >> kCountShift) + permits;
    if (total > limit_) fail_too_many(total);
    if (state_.compare_exchange_weak(seen, total << kCountShift, std::memory_order_release, std::memory_order_relaxed)) {
      return;
    }
  }
  Entry* served = nullptr;
  Entry** last = &served;
  {
    Guard guard{state_};
    const std::uint64_t total = (guard.value() >> kCountShift) + permits;
    if (total > limit_) fail_too_many(total);
    std::uint64_t left = permits;
    while (left > 0) {
      Entry* waiter = waiters_.claim_front();
      if (!waiter) break;
      --left;
      *last = waiter;
      last = &waiter->next;
    }
    std::uint64_t value = guard.value() + left * kOne;
    if (waiters_.empty()) value &= ~kWaiters;
    guard.set_value(value);
  }
  detail::deliver_all(served);
}

}  // namespace weft
