#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <source_location>

#include <weft/base/deadline.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// Many readers or one writer, for threads and fibers mixed.
///
/// Semantics:     after std::shared_timed_mutex, whose names it has, so that std::shared_lock, std::unique_lock and
///                std::lock_guard work. Only its holder may unlock it. Not recursive: who writes and takes it again, or
///                reads and asks to write, waits for itself; so does who reads and asks to read again, once a writer
///                waits. Such a deadlock is found when no other context reads. There is no upgrade from reading to
///                writing: two readers that both want it could only wait for each other. Unlock, lock, and look again
///                at what was read.
/// Thread-safety: every method, from any thread or fiber; destroy only when nobody holds it or waits.
/// Blocking:      parks the fiber, or the thread when called outside one. lock() and lock_shared() are no cancellation
///                points; the timed forms are: they throw Cancelled when this fiber is killed.
/// Ordering:      what precedes unlock() is visible after every lock that follows it; what precedes unlock_shared(), after
///                the next lock().
/// Fairness:      a waiting writer keeps new readers out, and a writer that leaves lets all readers in that wait. So a
///                reader waits for one writer at most, and a writer for those that asked before it, and for one batch
///                of readers before each.
/// Cost:          uncontended, one atomic operation each; no memory per waiter. Readers share one word.
/// Errors:        InvalidStateError for unlocking what one does not hold. Who reads is known only while one context does:
///                among several readers a stranger's unlock_shared() is found when the last of them leaves.
class RWLock {
 public:
  RWLock(std::source_location site = std::source_location::current()) noexcept : label_{nullptr, site} {}
  /// `name` appears in reports and must outlive the lock: a literal.
  explicit RWLock(const char* name, std::source_location site = std::source_location::current()) noexcept
      : label_{name, site} {}
  RWLock(const RWLock&) = delete;
  RWLock& operator=(const RWLock&) = delete;

  // ---- to write ----

  void lock() {
    if (!try_lock()) lock_slowly();
  }
  [[nodiscard]] bool try_lock() noexcept {
    std::uint64_t expected = 0;  // free, unwaited and list bit clear
    // Acquire: sees what all that held it before released; each of them changed the word by a read-modify-write, or under
    // the list bit.
    return state_.compare_exchange_strong(expected, as_writer(detail::current_context_id()), std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> timeout) {
    return try_lock() || lock_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool try_lock_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return try_lock() || lock_until(Deadline::at(point));
  }

  /// Throws: InvalidStateError when the caller does not hold it to write.
  void unlock() {
    std::uint64_t expected = as_writer(detail::current_context_id());
    if (!state_.compare_exchange_strong(expected, 0, std::memory_order_release, std::memory_order_relaxed)) {
      unlock_slowly();
    }
  }

  // ---- to read ----

  void lock_shared() {
    if (!try_lock_shared()) lock_shared_slowly();
  }
  /// False also while a writer waits.
  [[nodiscard]] bool try_lock_shared() noexcept {
    const std::uint64_t mine = as_reader(detail::current_context_id());
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    while (lets_in_a_reader(seen)) {
      if (state_.compare_exchange_weak(seen, seen + mine, std::memory_order_acquire, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_shared_for(std::chrono::duration<Rep, Period> timeout) {
    return try_lock_shared() || lock_shared_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool try_lock_shared_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return try_lock_shared() || lock_shared_until(Deadline::at(point));
  }

  /// Throws: InvalidStateError when the caller does not hold it to read, as far as that is known.
  void unlock_shared() {
    const std::uint64_t mine = as_reader(detail::current_context_id());
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    // One of several just leaves, whoever waits; the last one only if nobody does. Release: what was read was read before
    // the next writer writes.
    while ((seen & kReaders) > kOneReader ? (seen & (kList | kWriting)) == 0 : seen == mine) {
      if (state_.compare_exchange_weak(seen, seen - mine, std::memory_order_release, std::memory_order_relaxed)) return;
    }
    unlock_shared_slowly();
  }

  /// The context id of the one that writes; 0: nobody does. True a moment ago, as what follows.
  [[nodiscard]] std::uint64_t owner() const noexcept { return writer_of(state_.load(std::memory_order_relaxed)); }
  /// How many read.
  [[nodiscard]] std::uint32_t readers() const noexcept { return readers_of(state_.load(std::memory_order_relaxed)); }
  [[nodiscard]] const char* name() const noexcept { return label_.name(); }

 private:
  // The state: bit 0 guards the lists, bit 1: somebody waits, bit 2: somebody writes, whose id is in bits 3-63. While
  // nobody does, bits 3-24 count the readers and bits 25-63 are the sum of their ids: that of the reader, if it is alone.
  static constexpr std::uint64_t kList = 1, kWaiters = 2, kWriting = 4, kFlags = 7;
  static constexpr int kShift = 3, kSumShift = 25;
  static constexpr std::uint64_t kOneReader = std::uint64_t{1} << kShift;
  static constexpr std::uint64_t kReaders = (std::uint64_t{1} << kSumShift) - kOneReader;
  using Guard = detail::ListGuard<std::uint64_t, kList>;
  enum class Side : bool { Read, Write };

  static constexpr std::uint64_t as_writer(std::uint64_t id) { return id << kShift | kWriting; }
  static constexpr std::uint64_t as_reader(std::uint64_t id) { return (id << kSumShift) + kOneReader; }
  static constexpr std::uint64_t writer_of(std::uint64_t state) { return state & kWriting ? state >> kShift : 0; }
  static constexpr std::uint32_t readers_of(std::uint64_t state) {
    return state & kWriting ? 0 : static_cast<std::uint32_t>((state & kReaders) >> kShift);
  }
  static constexpr bool lets_in_a_reader(std::uint64_t state) { return !(state & kFlags) && (state & kReaders) != kReaders; }

  void lock_slowly();
  void lock_shared_slowly();
  [[nodiscard]] bool lock_until(Deadline deadline);
  [[nodiscard]] bool lock_shared_until(Deadline deadline);
  void unlock_slowly();
  void unlock_shared_slowly();

  [[nodiscard]] bool acquire(Side side, Deadline deadline, detail::Interruptible interruptible);
  void give_up(Side side, detail::Entry& entry) noexcept;
  void pass_on(Guard& guard, Side after) noexcept;
  [[nodiscard]] detail::Entry* let_in_readers(Guard& guard) noexcept;
  [[nodiscard]] detail::Entry* let_in_writer(Guard& guard) noexcept;
  void note_waiters(Guard& guard) noexcept;
  [[nodiscard]] static std::size_t writers_holders(const void* lock, std::uint64_t* ids, std::size_t most) noexcept;
  [[nodiscard]] static std::size_t readers_holders(const void* lock, std::uint64_t* ids, std::size_t most) noexcept;

  std::atomic<std::uint64_t> state_{0};
  detail::WaitList waiting_writers_;  // guarded by kList, as the next
  detail::WaitList waiting_readers_;
  std::atomic<std::uint64_t> next_writer_{0};  // the id of the first that waits; changed under kList
  const Label label_;
};

}  // namespace weft
