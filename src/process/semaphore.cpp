#include <weft/process/semaphore.hpp>

#include <algorithm>
#include <atomic>
#include <string>

#include <weft/base/error.hpp>
#include <weft/process/bounded_semaphore.hpp>

#include "process/shared_futex.hpp"
#include "process/shared_object.hpp"

namespace weft::process {

using detail::SemaphoreState;
using detail::SharedObject;
using weft::detail::Interruptible;
using weft::detail::Outcome;
using weft::detail::WaitKind;

/// The word: bits 0-30 permits, bit 31: somebody may sleep. That bit is set by whoever goes to sleep, and by one who
/// has slept as he takes a permit, on behalf of those who may sleep behind him; a release that finds nobody clears it.
///
/// A kill between a release and its wake-up, or of one who was woken: the word says that there is a permit, and those
/// who sleep expect that there is none: shared_wait() notices.
struct detail::SemaphoreState {
  static constexpr std::uint32_t kContended = 0x80000000, kCount = 0x7FFFFFFF;

  std::atomic<std::uint32_t> word{0};
  std::uint32_t limit = 0;
};

Semaphore::Semaphore(std::uint32_t permits, const char* name, std::source_location site)
    : Semaphore{permits, max_value(), name, site} {}

Semaphore::Semaphore(std::uint32_t permits, std::uint32_t limit, const char* name, std::source_location site)
    : Semaphore{SharedObject::make(SharedObject::Kind::Semaphore, sizeof(SemaphoreState), name), site} {
  state_->limit = std::min(limit, max_value());
  if (permits > max_value()) fail_too_many(permits);
  state_->word.store(permits, std::memory_order_relaxed);
}

Semaphore::Semaphore(std::shared_ptr<SharedObject> object, std::source_location site) noexcept
    : object_{std::move(object)}, state_{&object_->as<SemaphoreState>()}, label_{object_->label(site)} {}

void Semaphore::fail_too_many(std::uint64_t permits) const {
  throw InvalidStateError{"a process Semaphore cannot hold " + std::to_string(permits) + " permits; the most of this one is " +
                          std::to_string(state_->limit)};
}

std::uint32_t Semaphore::value() const noexcept {
  return state_->word.load(std::memory_order_relaxed) & SemaphoreState::kCount;
}

bool Semaphore::try_acquire() noexcept {
  std::uint32_t seen = state_->word.load(std::memory_order_relaxed);
  while (seen & SemaphoreState::kCount) {
    if (state_->word.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  }
  return false;
}

bool Semaphore::try_acquire_until(Deadline deadline) {
  constexpr std::uint32_t kContended = SemaphoreState::kContended;
  std::uint32_t behind_us = 0;
  std::uint32_t seen = state_->word.load(std::memory_order_relaxed);
  for (;;) {
    if (seen & SemaphoreState::kCount) {
      if (state_->word.compare_exchange_weak(seen, (seen - 1) | behind_us, std::memory_order_acquire, std::memory_order_relaxed)) {
        return true;
      }
      continue;
    }
    if (!(seen & kContended) && !state_->word.compare_exchange_weak(seen, kContended, std::memory_order_relaxed)) continue;
    const Outcome outcome =
        detail::shared_wait(state_->word, kContended, {.kind = WaitKind::Semaphore, .object = state_, .label = label_, .outside = true},
                            deadline, Interruptible::Yes);
    if (outcome == weft::detail::kInterrupted) weft::detail::throw_interruption();
    if (outcome == weft::detail::kTimedOut) return try_acquire();
    behind_us = kContended;
    seen = state_->word.load(std::memory_order_relaxed);
  }
}

// As above: one who has slept sets the bit on behalf of those who may sleep behind him.
bool Semaphore::AcquireWay::take(bool slept) {
  const std::uint32_t behind_us = slept ? SemaphoreState::kContended : 0;
  std::uint32_t seen = state_->word.load(std::memory_order_relaxed);
  while (seen & SemaphoreState::kCount) {
    if (state_->word.compare_exchange_weak(seen, (seen - 1) | behind_us, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  }
  return false;
}

bool Semaphore::AcquireWay::expect(detail::SharedWaiter& waiter) noexcept {
  constexpr std::uint32_t kContended = SemaphoreState::kContended;
  std::uint32_t seen = state_->word.load(std::memory_order_relaxed);
  do {
    if (seen & SemaphoreState::kCount) return false;
  } while (!(seen & kContended) && !state_->word.compare_exchange_weak(seen, kContended, std::memory_order_relaxed));
  waiter.word = &state_->word;
  waiter.expected = kContended;
  return true;
}

void Semaphore::AcquireWay::leave(bool told) noexcept {
  if (told) detail::shared_wake(state_->word, 1);
}

void Semaphore::release(std::uint32_t permits) {
  if (permits == 0) return;
  constexpr std::uint32_t kContended = SemaphoreState::kContended;
  std::uint32_t seen = state_->word.load(std::memory_order_relaxed);
  std::uint32_t now = 0;
  do {
    const std::uint64_t total = std::uint64_t{seen & SemaphoreState::kCount} + permits;
    if (total > state_->limit) fail_too_many(total);
    now = static_cast<std::uint32_t>(total) | (seen & kContended);
  } while (!state_->word.compare_exchange_weak(seen, now, std::memory_order_release, std::memory_order_relaxed));
  if (!(seen & kContended)) return;
  // Nobody slept: whoever was about to finds the word changed. If it has been changed since, the bit is another one's
  // affair.
  if (detail::shared_wake(state_->word, static_cast<int>(permits)) == 0) {
    state_->word.compare_exchange_strong(now, now & ~kContended, std::memory_order_relaxed);
  }
}

// ---- sent -----------------------------------------------------------------------------------------------------------

void Semaphore::send(Outgoing& out) const { object_->send(out); }

// Its limit is in the shared memory: a bounded one stays one, whatever the handle's type.
std::shared_ptr<SharedObject> Semaphore::receive_object(Incoming& in) {
  return SharedObject::receive(in, SharedObject::Kind::Semaphore, sizeof(SemaphoreState));
}

void Transfer<Semaphore>::send(Outgoing& out, const Semaphore& semaphore) { semaphore.send(out); }

Semaphore Transfer<Semaphore>::receive(Incoming& in) {
  return Semaphore{Semaphore::receive_object(in), std::source_location{}};
}

void Transfer<BoundedSemaphore>::send(Outgoing& out, const BoundedSemaphore& semaphore) { semaphore.send(out); }

BoundedSemaphore Transfer<BoundedSemaphore>::receive(Incoming& in) {
  return BoundedSemaphore{BoundedSemaphore::receive_object(in), std::source_location{}};
}

}  // namespace weft::process
