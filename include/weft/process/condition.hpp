#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <source_location>

#include <weft/base/deadline.hpp>
#include <weft/base/label.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/parcel.hpp>
#include <weft/process/rlock.hpp>

namespace weft::process {

namespace detail {
struct ConditionState;
}  // namespace detail

/// Waiting, in several processes, for a change of what a process::Lock or process::RLock protects.
///
/// Semantics:     after Python multiprocessing.Condition and std::condition_variable; the lock is passed to each
///                wait, as a std::unique_lock. A handle, as process::Lock is. An RLock is given back wholly, however
///                often the caller has taken it. A notification goes to those who wait at that moment, to which of
///                them is not said. The forms without a predicate return only for a notification, a deadline or a
///                kill, and, after a process has been killed in the middle of a wait or a notification, perhaps for
///                nothing: look again, or use a predicate.
/// Death:         a process killed while it waits takes no notification with it that comes later; one killed in the
///                middle of a notification has notified everybody, or nobody. Whether the lock's owner died, the lock
///                tells: ask it after each wait.
/// Thread-safety: every method, from any thread or fiber of any process.
/// Blocking:      parks the fiber, or the thread when called outside one. Throws Cancelled when this fiber is killed;
///                the lock is then held again, as after every return. Taking it again is no cancellation point.
/// Errors:        InvalidStateError when the caller does not hold the lock.
/// Cost:          a notification that meets nobody is one load; a page of shared memory, a mapping and a descriptor
///                in each process.
class Condition {
 public:
  /// Throws: OSError when there is no memory or no descriptor to be had.
  Condition(std::source_location site = std::source_location::current()) : Condition{nullptr, site} {}
  /// `name` appears in reports of every process; its first 47 bytes are kept.
  explicit Condition(const char* name, std::source_location site = std::source_location::current());
  Condition(const Condition&) = default;
  Condition& operator=(const Condition&) = default;

  /// L: process::Lock or process::RLock, here and below.
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
  [[nodiscard]] bool wait_for(std::unique_lock<L>& guard, std::chrono::duration<Rep, Period> timeout, Predicate predicate) {
    return wait_until(guard, Deadline::after(timeout), std::move(predicate));
  }

  /// Wake so many of those who wait, or all. The caller need not hold the lock.
  void notify_one() noexcept { notify(1); }
  void notify(std::size_t count) noexcept;
  void notify_all() noexcept { notify(SIZE_MAX); }

  [[nodiscard]] const char* name() const noexcept { return label_.name(); }

 private:
  friend struct Transfer<Condition>;

  Condition(std::shared_ptr<detail::SharedObject> object, std::source_location site) noexcept;
  template <class Release, class Retake>
  [[nodiscard]] bool wait_released(Deadline deadline, Release release, Retake retake);

  std::shared_ptr<detail::SharedObject> object_;
  detail::ConditionState* state_;
  Label label_;
};

template <>
struct Transfer<Condition> {
  static void send(Outgoing& out, const Condition& condition);
  static Condition receive(Incoming& in);
};

}  // namespace weft::process
