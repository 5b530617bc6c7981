#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <source_location>

#include <weft/base/deadline.hpp>
#include <weft/detail/selectable.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

/// A flag to wait for: unset at first, set() lets everybody through until clear().
///
/// Semantics:     after Python threading.Event.
/// Thread-safety: every method, from any thread or fiber; destroy only when nobody waits. A waiter that was just let through may.
/// Blocking:      parks the fiber, or the thread when called outside one. Throws Cancelled when this fiber is killed.
/// Ordering:      what precedes set() is visible after the wait it ends.
/// Cost:          set() and wait() on a set event, one atomic operation; no memory per waiter.
class Event {
 public:
  Event(std::source_location site = std::source_location::current()) noexcept : label_{nullptr, site} {}
  /// `name` appears in reports and must outlive the event: a literal.
  explicit Event(const char* name, std::source_location site = std::source_location::current()) noexcept
      : label_{name, site} {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  [[nodiscard]] bool is_set() const noexcept { return (state_.load(std::memory_order_acquire) & kSet) != 0; }
  void set() noexcept;
  void clear() noexcept;

  void wait() { (void)wait_until(Deadline::never()); }
  /// False: still unset after so long.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> timeout) {
    return wait_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool wait_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return wait_until(Deadline::at(point));
  }
  [[nodiscard]] bool wait_until(Deadline deadline);

  /// A case of select(): ready when set.
  template <class F>
  [[nodiscard]] auto on_set(F callable) {
    return detail::SelectCase<SetWay, F>{std::move(callable), *this};
  }

  [[nodiscard]] const char* name() const noexcept { return label_.name(); }

 private:
  class SetWay : public detail::Selectable {
   public:
    explicit SetWay(Event& event) : event_{event} {}
    bool try_now() override;
    bool enlist() noexcept override { return event_.enlist(entry); }
    void withdraw() noexcept override { event_.withdraw(entry); }

   private:
    Event& event_;
  };

  static constexpr std::uint32_t kList = 1, kSet = 2, kWaiters = 4;
  using Guard = detail::ListGuard<std::uint32_t, kList>;

  /// False: it is set.
  [[nodiscard]] bool enlist(detail::Entry& entry) noexcept;
  void withdraw(detail::Entry& entry) noexcept;

  std::atomic<std::uint32_t> state_{0};
  detail::WaitList waiters_;  // guarded by kList
  const Label label_;
};

}  // namespace weft
