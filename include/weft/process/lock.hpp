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
class SharedLockWord;
class SharedObject;
}  // namespace detail

/// Mutual exclusion among processes, and the threads and fibers of each.
///
/// Semantics:     after Python multiprocessing.Lock, with the names of std::mutex, so that std::scoped_lock and
///                std::unique_lock work. An object of this type is a handle: copies, the children of fork() and
///                whoever is sent one share one lock, which lives as long as any process has a handle. Not recursive.
///                As in Python, whoever has a handle may unlock it, also in another process than the one that took it.
/// Death:         a process that ends while it holds the lock, killed or not, is no hang: the next one acquires it,
///                and owner_died() tells him that what the lock protects may be half changed. That stays so, for
///                later owners too, until one of them has said recovered(). Noticed as soon as the process has ended
///                if somebody has waited for it for some 20 ms, else in at most 0.1 s. The end of the thread that
///                holds it, in a process that goes on, is not, nor its call of exec.
///                    std::scoped_lock guard{gate};
///                    if (gate.owner_died()) { rebuild(); gate.recovered(); }
/// Thread-safety: every method, from any thread or fiber of any process; a handle is destroyed when nobody of this
///                process waits with it. Processes must be of one pid namespace and one time namespace; received in
///                another one it is a ProtocolError.
/// Blocking:      parks the fiber, or the thread when called outside one. lock() is no cancellation point; the timed
///                forms are.
/// Deadlocks:     a holder of this process, or of another one of its family (what weft has started, and children of
///                fork() made after the lock), is known to the search for them (weft/sync/deadlock.hpp), and lock()
///                throws DeadlockError when part of one, even though another process could still unlock it: for a
///                lock that is taken here and released elsewhere, as a signal, use a Semaphore or an Event.
/// Ordering:      what precedes unlock() is visible after the lock() that follows it.
/// Fairness:      whoever comes first takes a free lock; while a waiter has been passed over for a millisecond, those
///                who come later stand back.
/// Cost:          uncontended, two atomic operations; a page of shared memory, a mapping and a descriptor in each
///                process.
class Lock {
 public:
  /// Throws: OSError when there is no memory or no descriptor to be had.
  Lock(std::source_location site = std::source_location::current()) : Lock{nullptr, site} {}
  /// `name` appears in reports of every process; its first 47 bytes are kept.
  explicit Lock(const char* name, std::source_location site = std::source_location::current());
  Lock(const Lock&) = default;
  Lock& operator=(const Lock&) = default;

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

  /// Throws: InvalidStateError when nobody holds it.
  void unlock();

  /// Of its owner: whether an owner ended while he held it, since the last recovered().
  [[nodiscard]] bool owner_died() const noexcept;
  /// What it protects is whole again. Throws: InvalidStateError when this process does not hold it.
  void recovered();

  /// Whether anybody holds it: true a moment ago. An owner that died counts until that has been noticed.
  [[nodiscard]] bool locked() const noexcept;
  /// The pid of the process that holds it; 0: free.
  [[nodiscard]] int owner() const noexcept;
  [[nodiscard]] const char* name() const noexcept { return label_.name(); }

 private:
  friend class Condition;
  friend struct Transfer<Lock>;

  Lock(std::shared_ptr<detail::SharedObject> object, std::source_location site) noexcept;
  void lock_again() noexcept;

  std::shared_ptr<detail::SharedObject> object_;
  detail::SharedLockWord* word_;
  Label label_;
};

template <>
struct Transfer<Lock> {
  static void send(Outgoing& out, const Lock& lock);
  static Lock receive(Incoming& in);
};

}  // namespace weft::process
