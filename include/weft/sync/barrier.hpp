#pragma once

#include <chrono>
#include <cstdint>
#include <source_location>

#include <weft/base/deadline.hpp>
#include <weft/base/unique_function.hpp>
#include <weft/sync/condition.hpp>
#include <weft/sync/lock.hpp>

namespace weft {

/// Lets so many contexts through at once: each waits until all have come. Then it can be used again.
///
/// Semantics:     after Python threading.Barrier. A wait that ends early (a deadline, a kill, an action that throws)
///                breaks the barrier, as those who wait could never be complete: they and all later ones get
///                BrokenBarrierError, until reset().
/// Thread-safety: every method, from any thread or fiber; destroy only when all calls have returned.
/// Blocking:      parks the fiber, or the thread when called outside one. Throws Cancelled when this fiber is killed.
/// Ordering:      what precedes each wait() is visible to the action, and after every wait() of the same round.
/// Cost:          a Lock and a Condition; no memory per waiter.
class Barrier {
 public:
  /// `action`, if any, is called in each round by the last to come, before anybody is let through. It may use the
  /// barrier, but not wait for it. When it throws, the barrier is broken, and what it threw goes to that caller.
  /// Throws: InvalidStateError for no parties.
  explicit Barrier(std::uint32_t parties, UniqueFunction<void()> action = {}, const char* name = nullptr,
                   std::source_location site = std::source_location::current());
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  /// Returns the caller's place in the order of arrival, from 0 to parties() - 1: different for each, so that one of them
  /// can do what only one should.
  /// Throws: BrokenBarrierError, also when the deadline passes; what the action throws.
  std::uint32_t wait() { return wait_until(Deadline::never()); }
  template <class Rep, class Period>
  std::uint32_t wait_for(std::chrono::duration<Rep, Period> timeout) {
    return wait_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  std::uint32_t wait_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return wait_until(Deadline::at(point));
  }
  std::uint32_t wait_until(Deadline deadline);

  /// Breaks it: those who wait, and all who come, get BrokenBarrierError.
  void abort();
  /// As new: those who wait get BrokenBarrierError, those who come later do not.
  void reset();

  [[nodiscard]] std::uint32_t parties() const noexcept { return parties_; }
  /// How many wait: a moment ago.
  [[nodiscard]] std::uint32_t waiting() const;
  [[nodiscard]] bool broken() const;

 private:
  struct Waiter;

  void enlist(Waiter& waiter) noexcept;
  [[nodiscard]] bool run_action(std::unique_lock<Lock>& guard);
  void end_round(bool complete) noexcept;

  const std::uint32_t parties_;
  UniqueFunction<void()> action_;
  mutable Lock lock_;
  Condition changed_;
  Waiter* waiters_ = nullptr;  // guarded by lock_, as all below
  std::uint32_t waiting_ = 0;
  bool acting_ = false;  // the action runs, without the lock; those who come wait for its end
  bool broken_ = false;
  bool cut_ = false;  // abort() or reset() came while it ran
};

}  // namespace weft
