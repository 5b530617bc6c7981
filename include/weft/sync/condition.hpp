#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <source_location>

#include <weft/base/deadline.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/rlock.hpp>

namespace weft {

/// Waiting for a change of what a Lock or an RLock protects.
///
/// Semantics:     after Python threading.Condition and std::condition_variable; the lock is passed to each wait, as
///                a std::unique_lock. An RLock is given back wholly, however often the caller has taken it. The
///                forms without a predicate return only for a notification, a deadline or a kill, never for nothing; still,
///                another may have taken what was announced, so look again, or use a predicate.
/// Thread-safety: every method, from any thread or fiber; may be destroyed once all waiters are notified, if none
///                of them had a deadline or could be killed: those look at it once more when they give up.
/// Blocking:      parks the fiber, or the thread when called outside one. Throws Cancelled when this fiber is killed;
///                the lock is then held again, as after every return. Taking it again is no cancellation point.
/// Errors:        InvalidStateError when the caller does not hold the lock.
/// Fairness:      notify_one wakes the one that has waited longest.
/// Cost:          a notification that meets nobody is one load; no memory per waiter.
class Condition {
 public:
  Condition(std::source_location site = std::source_location::current()) noexcept : label_{nullptr, site} {}
  /// `name` appears in reports and must outlive the condition: a literal.
  explicit Condition(const char* name, std::source_location site = std::source_location::current()) noexcept
      : label_{name, site} {}
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  /// L: Lock or RLock, here and below.
  template <class L>
  void wait(std::unique_lock<L>& guard) {
    (void)wait_until(guard, Deadline::never());
  }
  template <class L, class Predicate>
  void wait(std::unique_lock<L>& guard, Predicate predicate) {
    while (!predicate()) wait(guard);
  }

  /// False: not notified before the deadline.
  [[nodiscard]] bool wait_until(std::unique_lock<Lock>& guard, Deadline deadline);
  [[nodiscard]] bool wait_until(std::unique_lock<RLock>& guard, Deadline deadline);
  template <class L, class AnyClock, class AnyDuration>
  [[nodiscard]] bool wait_until(std::unique_lock<L>& guard, std::chrono::time_point<AnyClock, AnyDuration> point) {
    return wait_until(guard, Deadline::at(point));
  }
  template <class L, class Rep, class Period>
  [[nodiscard]] bool wait_for(std::unique_lock<L>& guard, std::chrono::duration<Rep, Period> timeout) {
    return wait_until(guard, Deadline::after(timeout));
  }

  /// With a predicate: its last value, so that true means that what was waited for is so.
  template <class L, class Predicate>
  [[nodiscard]] bool wait_until(std::unique_lock<L>& guard, Deadline deadline, Predicate predicate) {
    while (!predicate()) {
      if (!wait_until(guard, deadline)) return predicate();
    }
    return true;
  }
  template <class L, class Rep, class Period, class Predicate>
  [[nodiscard]] bool wait_for(std::unique_lock<L>& guard, std::chrono::duration<Rep, Period> timeout,
                              Predicate predicate) {
    return wait_until(guard, Deadline::after(timeout), std::move(predicate));
  }

  /// Wake the longest waiting, so many of them, or all. The caller need not hold the lock.
  void notify_one() noexcept { notify(1); }
  void notify(std::size_t count) noexcept;
  void notify_all() noexcept { notify(SIZE_MAX); }

 private:
  static constexpr std::uint32_t kList = 1, kWaiters = 2;
  using Guard = detail::ListGuard<std::uint32_t, kList>;

  template <class Release, class Retake>
  [[nodiscard]] bool wait_released(Deadline deadline, Release release, Retake retake);

  std::atomic<std::uint32_t> state_{0};
  detail::WaitList waiters_;  // guarded by kList
  const Label label_;
};

}  // namespace weft
