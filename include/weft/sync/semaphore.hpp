#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <source_location>

#include <weft/base/deadline.hpp>
#include <weft/detail/selectable.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// Counts permits: acquire() takes one, waiting while none is left; release() gives some back.
///
/// Semantics:     after Python threading.Semaphore; differs: waiters are always served oldest first, and nobody passes
///                them. lock() and unlock() are acquire() and release(1), for std::lock_guard.
/// Thread-safety: every method, from any thread or fiber; destroy only when nobody waits.
/// Blocking:      parks the fiber, or the thread when called outside one. Throws Cancelled when this fiber is killed; no
///                permit is lost.
/// Ordering:      what precedes release() is visible after the acquire() it satisfies.
/// Cost:          uncontended calls are one atomic operation; no memory per waiter.
class Semaphore {
 public:
  /// `name` appears in reports and must outlive the semaphore: a literal.
  /// Throws: InvalidStateError for a count above max_value().
  explicit Semaphore(std::uint32_t permits = 1, const char* name = nullptr,
                     std::source_location site = std::source_location::current());
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  [[nodiscard]] static constexpr std::uint32_t max_value() { return 0x7FFFFFFF; }

  void acquire() { (void)try_acquire_until(Deadline::never()); }
  [[nodiscard]] bool try_acquire() noexcept;
  template <class Rep, class Period>
  [[nodiscard]] bool try_acquire_for(std::chrono::duration<Rep, Period> timeout) {
    return try_acquire_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool try_acquire_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return try_acquire_until(Deadline::at(point));
  }
  [[nodiscard]] bool try_acquire_until(Deadline deadline);

  /// Throws: InvalidStateError when more than max_value() permits would exist; none is then added.
  void release(std::uint32_t permits = 1);

  /// A case of select(): takes a permit if chosen.
  template <class F>
  [[nodiscard]] auto on_acquire(F callable) {
    return detail::SelectCase<AcquireWay, F>{std::move(callable), *this};
  }

  [[nodiscard]] const char* name() const noexcept { return label_.name(); }

  /// Permits left a moment ago.
  [[nodiscard]] std::uint32_t value() const noexcept {
    return static_cast<std::uint32_t>(state_.load(std::memory_order_relaxed) >> kCountShift);
  }

  void lock() { acquire(); }
  void unlock() { release(1); }
  [[nodiscard]] bool try_lock() noexcept { return try_acquire(); }

 protected:
  /// With another limit than max_value().
  Semaphore(std::uint32_t permits, std::uint32_t limit, Label label);

 private:
  // The state: bit 0 guards the list, bit 1: somebody waits (then no permit is left), bits 2-33: permits.
  static constexpr std::uint64_t kList = 1, kWaiters = 2;
  static constexpr int kCountShift = 2;
  static constexpr std::uint64_t kOne = 1 << kCountShift;
  using Guard = detail::ListGuard<std::uint64_t, kList>;

  class AcquireWay : public detail::Selectable {
   public:
    explicit AcquireWay(Semaphore& semaphore) : semaphore_{semaphore} {}
    bool try_now() override;
    bool enlist() noexcept override;
    void withdraw() noexcept override { semaphore_.withdraw(entry); }

   private:
    Semaphore& semaphore_;
  };

  [[noreturn]] void fail_too_many(std::uint64_t permits) const;
  void withdraw(detail::Entry& entry) noexcept;

  std::atomic<std::uint64_t> state_;
  detail::WaitList waiters_;  // guarded by kList
  const std::uint32_t limit_;
  const Label label_;
};

}  // namespace weft
