#pragma once

#include <chrono>
#include <memory>
#include <source_location>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/label.hpp>
#include <weft/detail/shared_way.hpp>
#include <weft/process/parcel.hpp>

namespace weft::process {

namespace detail {
class SharedObject;
struct EventState;
}  // namespace detail

/// A flag that processes wait for: unset at first, set() lets everybody through until clear().
///
/// Semantics:     after Python multiprocessing.Event. A handle, as process::Lock is. Who waits when it is set is let
///                through, even if it is cleared before he could look.
/// Death:         a process killed in the middle of set() has set it, and everybody hears of it, or has not.
/// Thread-safety: every method, from any thread or fiber of any process.
/// Blocking:      parks the fiber, or the thread when called outside one. Throws Cancelled when this fiber is killed.
/// Ordering:      what precedes set() is visible after the wait it ends.
/// Cost:          set() and wait() on a set event, one atomic operation; a page of shared memory, a mapping and a
///                descriptor in each process.
class Event {
 public:
  /// Throws: OSError when there is no memory or no descriptor to be had.
  Event(std::source_location site = std::source_location::current()) : Event{nullptr, site} {}
  /// `name` appears in reports of every process; its first 47 bytes are kept.
  explicit Event(const char* name, std::source_location site = std::source_location::current());
  Event(const Event&) = default;
  Event& operator=(const Event&) = default;

  [[nodiscard]] bool is_set() const noexcept;
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

  /// A case of select(): chosen when the event is set.
  template <class F>
  [[nodiscard]] auto on_set(F callable) const {
    return weft::detail::SelectCase<SetWay, F>{std::move(callable), *this};
  }

  [[nodiscard]] const char* name() const noexcept { return label_.name(); }

 private:
  class SetWay : public detail::SharedWay {
   public:
    explicit SetWay(const Event& event) noexcept : state_{event.state_} {}

   private:
    bool take(bool slept) override;
    bool expect(detail::SharedWaiter& waiter) noexcept override;
    void leave(bool) noexcept override {}  // set() tells everybody

    detail::EventState* state_;
    std::uint32_t times_ = 0;  // how often it had been set when the wait began
  };

  friend struct Transfer<Event>;

  Event(std::shared_ptr<detail::SharedObject> object, std::source_location site) noexcept;

  std::shared_ptr<detail::SharedObject> object_;
  detail::EventState* state_;
  Label label_;
};

template <>
struct Transfer<Event> {
  static void send(Outgoing& out, const Event& event);
  static Event receive(Incoming& in);
};

}  // namespace weft::process
