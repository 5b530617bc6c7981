#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <source_location>

#include <weft/base/deadline.hpp>
#include <weft/base/label.hpp>
#include <weft/process/parcel.hpp>

namespace weft::process {

namespace detail {
class SharedObject;
struct RLockState;
}  // namespace detail

/// A process::Lock that its holder, a thread or fiber of one process, may take again, through nested calls: free when
/// it was released as often as it was taken.
///
/// Semantics:     after Python multiprocessing.RLock and std::recursive_timed_mutex. Only its holder may unlock it. A
///                child of fork() does not hold what its parent holds.
/// Death, thread-safety, blocking, deadlocks, ordering, fairness: those of process::Lock.
/// Cost:          that of process::Lock; taking it again and giving it back, no atomic read-modify-write.
class RLock {
 public:
  /// Throws: OSError when there is no memory or no descriptor to be had.
  RLock(std::source_location site = std::source_location::current()) : RLock{nullptr, site} {}
  /// `name` appears in reports of every process; its first 47 bytes are kept.
  explicit RLock(const char* name, std::source_location site = std::source_location::current());
  RLock(const RLock&) = default;
  RLock& operator=(const RLock&) = default;

  void lock();
  [[nodiscard]] bool try_lock();
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> timeout) {
    return try_lock_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool try_lock_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return try_lock_until(Deadline::at(point));
  }
  [[nodiscard]] bool try_lock_until(Deadline deadline);

  /// Throws: InvalidStateError when the caller does not hold it.
  void unlock();

  /// As process::Lock's.
  [[nodiscard]] bool owner_died() const noexcept;
  /// Throws: InvalidStateError when the caller does not hold it.
  void recovered();

  /// Whether anybody holds it: true a moment ago.
  [[nodiscard]] bool locked() const noexcept;
  /// The pid of the process that holds it; 0: free.
  [[nodiscard]] int owner() const noexcept;
  /// How often the caller has taken it; 0: not at all.
  [[nodiscard]] std::uint32_t depth() const noexcept;
  [[nodiscard]] const char* name() const noexcept { return label_.name(); }

 private:
  friend class Condition;
  friend struct Transfer<RLock>;

  RLock(std::shared_ptr<detail::SharedObject> object, std::source_location site) noexcept;
  [[nodiscard]] bool enter_again() noexcept;
  void check_held(const char* operation) const;
  /// For Condition: gives all of it back, and takes it as often again.
  [[nodiscard]] std::uint32_t release_all() noexcept;
  void take_again(std::uint32_t depth) noexcept;

  std::shared_ptr<detail::SharedObject> object_;
  detail::RLockState* state_;
  Label label_;
};

template <>
struct Transfer<RLock> {
  static void send(Outgoing& out, const RLock& lock);
  static RLock receive(Incoming& in);
};

}  // namespace weft::process
