#include <weft/process/semaphore.hpp>

#include <algorithm>
#include <atomic>
#include <string>

#include <weft/base/error.hpp>
#include <weft/process/bounded_semaphore.hpp>

#include "process/sync/seated_permits.hpp"
#include "process/sync/shared_futex.hpp"
#include "process/sync/shared_object.hpp"

namespace weft::process {

using detail::SemaphoreState;
using detail::SharedObject;
using weft::detail::Interruptible;
using weft::detail::Outcome;
using weft::detail::WaitKind;

namespace {

/// Permits that are nobody's. The word: bits 0-30 permits, bit 31: somebody may sleep. That bit is set by whoever goes to sleep, and by
/// one who has slept as he takes a permit, on behalf of those who may sleep behind him; a release that finds nobody clears it.
///
/// A kill between a release and its wake-up, or of one who was woken: the word says that there is a permit, and those
/// who sleep expect that there is none: shared_wait() notices.
class CountedPermits {
 public:
  static constexpr std::uint32_t kContended = 0x80000000, kCount = 0x7FFFFFFF;

  void make(std::uint32_t permits) noexcept { word_.store(permits, std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t free() const noexcept { return word_.load(std::memory_order_relaxed) & kCount; }

  [[nodiscard]] bool take(bool slept) noexcept {
    const std::uint32_t behind_us = slept ? kContended : 0;
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    while (seen & kCount) {
      if (word_.compare_exchange_weak(seen, (seen - 1) | behind_us, std::memory_order_acquire, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  /// False: it would be more than `limit`, and none is added.
  [[nodiscard]] bool add(std::uint32_t permits, std::uint32_t limit) noexcept {
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    std::uint32_t now = 0;
    do {
      const std::uint64_t total = std::uint64_t{seen & kCount} + permits;
      if (total > limit) return false;
      now = static_cast<std::uint32_t>(total) | (seen & kContended);
    } while (!word_.compare_exchange_weak(seen, now, std::memory_order_release, std::memory_order_relaxed));
    if (!(seen & kContended)) return true;
    // Nobody slept: whoever was about to finds the word changed. If it has been changed since, the bit is another one's
    // affair.
    if (detail::shared_wake(word_, static_cast<int>(permits)) == 0) {
      word_.compare_exchange_strong(now, now & ~kContended, std::memory_order_relaxed);
    }
    return true;
  }

  /// Before sleeping on word() until it is not kContended. False: there is a permit.
  [[nodiscard]] bool want() noexcept {
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    do {
      if (seen & kCount) return false;
    } while (!(seen & kContended) && !word_.compare_exchange_weak(seen, kContended, std::memory_order_relaxed));
    return true;
  }
  [[nodiscard]] const std::atomic<std::uint32_t>& word() const noexcept { return word_; }

 private:
  std::atomic<std::uint32_t> word_{0};
};

}  // namespace

/// Of the two only one is in use: the one of a BoundedSemaphore knows who holds what.
struct detail::SemaphoreState {
  [[nodiscard]] bool is_seated() const noexcept { return seated.count() != 0; }
  [[nodiscard]] std::uint32_t free() const noexcept { return is_seated() ? seated.free() : counted.free(); }
  [[nodiscard]] bool take(bool slept) noexcept { return is_seated() ? seated.take(slept) : counted.take(slept); }
  /// By one who may not wait for it.
  [[nodiscard]] bool try_take() noexcept { return take(false) || (is_seated() && seated.take_from_the_dead()); }
  [[nodiscard]] bool give(std::uint32_t permits) { return is_seated() ? seated.give_back(permits) : counted.add(permits, limit); }

  /// Says what word is expected to be what, by one who finds no permit. False: there is one.
  [[nodiscard]] bool expect(SharedWaiter& waiter) noexcept {
    waiter.word = is_seated() ? &seated.word() : &counted.word();
    waiter.expected = is_seated() ? SeatedPermits::kWanted : CountedPermits::kContended;
    if (is_seated()) waiter.look = {&SeatedPermits::look, &seated};
    return is_seated() ? seated.want() : counted.want();
  }
  /// One who was told that there may be a permit, and leaves.
  void pass_on() noexcept {
    if (is_seated()) {
      seated.pass_on();
    } else {
      shared_wake(counted.word(), 1);
    }
  }

  std::uint32_t limit = 0;
  CountedPermits counted;
  SeatedPermits seated;  // followed by its seats
};

namespace {

std::size_t bytes_of_state(std::uint32_t seats) noexcept { return sizeof(SemaphoreState) + detail::SeatedPermits::bytes_of_seats(seats); }

}  // namespace

Semaphore::Semaphore(std::uint32_t permits, const char* name, std::source_location site)
    : Semaphore{SharedObject::make(SharedObject::Kind::Semaphore, bytes_of_state(0), name), site} {
  state_->limit = max_value();
  if (permits > max_value()) fail_too_many(permits);
  state_->counted.make(permits);
}

Semaphore::Semaphore(Bounded, std::uint32_t permits, const char* name, std::source_location site)
    : Semaphore{SharedObject::make(SharedObject::Kind::Semaphore, bytes_of_state(seats_for(permits)), name), site} {
  state_->limit = std::min(permits, max_value());
  if (permits > max_value()) fail_too_many(permits);
  if (const std::uint32_t seats = seats_for(permits)) {
    state_->seated.make(seats);
  } else {
    state_->counted.make(permits);
  }
}

Semaphore::Semaphore(std::shared_ptr<SharedObject> object, std::source_location site) noexcept
    : object_{std::move(object)}, state_{&object_->as<SemaphoreState>()}, label_{object_->label(site)} {}

std::uint32_t Semaphore::seats_for(std::uint32_t permits) noexcept { return permits <= detail::SeatedPermits::kMost ? permits : 0; }

void Semaphore::fail_too_many(std::uint64_t permits) const {
  throw InvalidStateError{"a process Semaphore cannot hold " + std::to_string(permits) + " permits; the most of this one is " +
                          std::to_string(state_->limit)};
}

std::uint32_t Semaphore::value() const noexcept { return state_->free(); }

bool Semaphore::try_acquire() noexcept { return state_->try_take(); }

bool Semaphore::try_acquire_until(Deadline deadline) {
  const weft::detail::Wait record{.kind = WaitKind::Semaphore, .object = state_, .label = label_, .outside = true};
  for (bool slept = false;;) {
    if (state_->take(slept)) return true;
    detail::SharedWaiter waiter;
    if (!state_->expect(waiter)) continue;
    const Outcome outcome = detail::shared_wait(*waiter.word, waiter.expected, record, deadline, Interruptible::Yes, waiter.look);
    if (outcome == weft::detail::kInterrupted) weft::detail::throw_interruption();
    if (outcome == weft::detail::kTimedOut) return try_acquire();
    slept = true;
  }
}

bool Semaphore::AcquireWay::take(bool slept) { return slept ? state_->take(true) : state_->try_take(); }
bool Semaphore::AcquireWay::expect(detail::SharedWaiter& waiter) noexcept { return state_->expect(waiter); }
void Semaphore::AcquireWay::leave(bool told) noexcept {
  if (told) state_->pass_on();
}

void Semaphore::release(std::uint32_t permits) {
  if (permits != 0 && !state_->give(permits)) fail_too_many(std::uint64_t{value()} + permits);
}

bool BoundedSemaphore::holder_died() const noexcept { return state_->seated.holder_died(); }
void BoundedSemaphore::recovered() noexcept { state_->seated.recovered(); }

// ---- sent -----------------------------------------------------------------------------------------------------------

void Semaphore::send(Outgoing& out) const { object_->send(out); }

// Its limit is in the shared memory: a bounded one stays one, whatever the handle's type.
std::shared_ptr<SharedObject> Semaphore::receive_object(Incoming& in) {
  std::shared_ptr<SharedObject> object = SharedObject::receive(in, SharedObject::Kind::Semaphore, bytes_of_state(0));
  const std::uint32_t seats = object->as<SemaphoreState>().seated.count();
  if (seats > detail::SeatedPermits::kMost || object->size() < bytes_of_state(seats))
    throw ProtocolError{"receive a process Semaphore: it has " + std::to_string(seats) + " seats, and no room for them"};
  return object;
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
