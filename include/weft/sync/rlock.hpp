#pragma once

#include <chrono>
#include <cstdint>
#include <source_location>

#include <weft/base/deadline.hpp>
#include <weft/sync/lock.hpp>

namespace weft {

/// A Lock that its holder may take again, through nested calls: free when it was released as often as it was taken.
///
/// Semantics:     after Python threading.RLock and std::recursive_timed_mutex, whose names it has.
/// Thread-safety: every method, from any thread or fiber; destroy only when nobody holds it or waits.
/// Blocking:      as Lock, the first time; taking it again never blocks.
/// Ordering, fairness: those of Lock.
/// Cost:          that of Lock; taking it again and giving it back, no atomic read-modify-write.
class RLock {
 public:
  RLock(std::source_location site = std::source_location::current()) noexcept : RLock{nullptr, site} {}
  /// `name` appears in reports and must outlive the lock: a literal.
  explicit RLock(const char* name, std::source_location site = std::source_location::current()) noexcept
      : lock_{name, site, detail::WaitKind::RLock} {}
  RLock(const RLock&) = delete;
  RLock& operator=(const RLock&) = delete;

  void lock() {
    if (!held_by_caller()) lock_.lock();
    ++depth_;
  }
  [[nodiscard]] bool try_lock() { return entered(held_by_caller() || lock_.try_lock()); }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> timeout) {
    return entered(held_by_caller() || lock_.try_lock_for(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool try_lock_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return entered(held_by_caller() || lock_.try_lock_until(point));
  }

  /// Throws: InvalidStateError when the caller does not hold it.
  void unlock() {
    if (!held_by_caller()) fail_not_held();
    if (--depth_ == 0) lock_.unlock();
  }

  /// Whether anybody holds it: true a moment ago.
  [[nodiscard]] bool locked() const noexcept { return lock_.locked(); }
  /// The context id of its holder; 0: free.
  [[nodiscard]] std::uint64_t owner() const noexcept { return lock_.owner(); }
  /// How often the caller has taken it; 0: not at all.
  [[nodiscard]] std::uint64_t depth() const noexcept { return held_by_caller() ? depth_ : 0; }
  [[nodiscard]] const char* name() const noexcept { return lock_.name(); }

 private:
  friend class Condition;

  // Only the caller itself can have made itself the owner, so that no order is needed.
  [[nodiscard]] bool held_by_caller() const noexcept { return lock_.owner() == detail::current_context_id(); }
  [[nodiscard]] bool entered(bool taken) noexcept {
    if (taken) ++depth_;
    return taken;
  }
  [[noreturn]] void fail_not_held() const;
  /// For Condition: gives all of it back, and takes it as often again.
  [[nodiscard]] std::uint64_t release_all();
  void take_again(std::uint64_t depth);

  Lock lock_;
  std::uint64_t depth_ = 0;  // the holder's
};

}  // namespace weft
