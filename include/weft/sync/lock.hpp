#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <source_location>

#include <weft/base/deadline.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// Mutual exclusion for threads and fibers, mixed freely.
///
/// Semantics:     after Python threading.Lock and std::mutex, whose names it has, so that std::scoped_lock,
///                std::unique_lock and std::lock_guard work. Unlike Python's, only its holder may unlock it. Not
///                recursive: taking it twice waits for ever. May be held across a blocking call and a change of thread.
/// Thread-safety: every method, from any thread or fiber; destroy only when nobody holds it or waits.
/// Blocking:      parks the fiber, or the thread when called outside one. lock() is no cancellation point; the timed forms
///                are: they throw Cancelled when this fiber is killed.
/// Ordering:      what precedes unlock() is visible after the lock() that follows it.
/// Fairness:      whoever comes first takes a free lock, also past those who wait; once a millisecond it is handed to a
///                waiter that was passed over, so that nobody starves.
/// Cost:          uncontended, one atomic operation each; 64 bytes; no memory per waiter.
class Lock {
 public:
  Lock(std::source_location site = std::source_location::current()) noexcept : Lock{nullptr, site} {}
  /// `name` appears in reports and must outlive the lock: a literal.
  explicit Lock(const char* name, std::source_location site = std::source_location::current()) noexcept
      : Lock{name, site, detail::WaitKind::Lock} {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock() {
    const std::uint64_t mine = detail::current_context_id() << kOwnerShift;
    // What a free lock looks like at this moment: somebody may wait, and have been passed over. The list bit is clear.
    std::uint64_t expected = state_.load(std::memory_order_relaxed) & (kWaiters | kWoken);
    // Acquire: sees what the last holder released.
    if (!state_.compare_exchange_strong(expected, expected | mine, std::memory_order_acquire, std::memory_order_relaxed)) {
      lock_slowly();
    }
  }

  [[nodiscard]] bool try_lock();

  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> timeout) {
    return try_lock() || lock_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool try_lock_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return try_lock() || lock_until(Deadline::at(point));
  }

  /// Throws: InvalidStateError when the caller does not hold it.
  void unlock() {
    std::uint64_t expected = detail::current_context_id() << kOwnerShift;
    // Looked at first: with somebody waiting a failed exchange would cost as much as one that succeeds.
    if (state_.load(std::memory_order_relaxed) != expected ||
        !state_.compare_exchange_strong(expected, 0, std::memory_order_release, std::memory_order_relaxed)) {
      unlock_slowly();
    }
  }

  /// Whether anybody holds it: true a moment ago.
  [[nodiscard]] bool locked() const noexcept { return state_.load(std::memory_order_relaxed) >> kOwnerShift != 0; }
  /// The context id of its holder; 0: free.
  [[nodiscard]] std::uint64_t owner() const noexcept { return state_.load(std::memory_order_relaxed) >> kOwnerShift; }
  [[nodiscard]] const char* name() const noexcept { return label_.name(); }

 private:
  friend class Condition;
  friend class RLock;

  Lock(const char* name, std::source_location site, detail::WaitKind kind) noexcept : kind_{kind}, label_{name, site} {}

  // The state: bit 0 guards the list, bit 1: somebody waits, bit 2: a woken waiter is on its way, bits 3-63: the holder.
  static constexpr std::uint64_t kList = 1, kWaiters = 2, kWoken = 4, kFlags = 7;
  static constexpr int kOwnerShift = 3;
  using Guard = detail::ListGuard<std::uint64_t, kList>;

  void lock_slowly();
  [[nodiscard]] bool lock_until(Deadline deadline);
  [[nodiscard]] bool take(std::uint64_t mine, std::uint64_t clearing) noexcept;
  [[nodiscard]] bool spin(std::uint64_t mine, std::uint64_t clearing) noexcept;
  void lock_again();
  [[nodiscard]] bool acquire(Deadline deadline, detail::Interruptible interruptible);
  [[nodiscard]] static std::size_t holders(const void* lock, std::uint64_t* ids, std::size_t most) noexcept;
  void unlock_slowly();
  void pass_on(Guard& guard) noexcept;

  std::atomic<std::uint64_t> state_{0};
  detail::WaitList waiters_;                 // guarded by kList
  std::atomic<std::int64_t> last_handoff_{0};  // written by the holder that hands over
  std::atomic<std::uint32_t> woken_in_{0};     // the process in which kWoken was set
  const detail::WaitKind kind_;  // what reports call it
  const Label label_;
};

}  // namespace weft
