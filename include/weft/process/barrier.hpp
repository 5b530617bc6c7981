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
struct BarrierState;
}  // namespace detail

/// Lets so many contexts of any processes through at once: each waits until all have come. Then it can be used again.
///
/// Semantics:     after Python multiprocessing.Barrier. A handle, as process::Lock is. A wait that ends early (a
///                deadline, a kill, an action that throws) breaks the barrier, as those who wait could never be
///                complete: they and all later ones get BrokenBarrierError, until reset().
/// Death:         so does the end of a process one of whose contexts waits, or runs the action: noticed as the death
///                of a process::Lock's owner is.
/// Thread-safety: every method, from any thread or fiber of any process.
/// Blocking:      parks the fiber, or the thread when called outside one. Throws Cancelled when this fiber is killed.
/// Ordering:      what precedes each wait() is visible to the action, and after every wait() of the same round.
/// Cost:          each arrival looks at all who wait; 48 bytes of shared memory a party beside a page, a mapping and
///                a descriptor in each process.
class Barrier {
 public:
  /// `action`, a function or a captureless lambda, is called in each round by the last to come, in its process,
  /// before anybody is let through. It may use the barrier, but not wait for it. When it throws, the barrier is
  /// broken, and what it threw goes to that caller. `name` appears in reports of every process; its first 47 bytes
  /// are kept.
  /// Throws: InvalidStateError for no parties, or more than most_parties(); OSError when there is no memory or no
  /// descriptor to be had.
  explicit Barrier(std::uint32_t parties, void (*action)() = nullptr, const char* name = nullptr,
                   std::source_location site = std::source_location::current());
  Barrier(const Barrier&) = default;
  Barrier& operator=(const Barrier&) = default;

  [[nodiscard]] static constexpr std::uint32_t most_parties() { return 1u << 20; }

  /// Returns the caller's place in the order of arrival, from 0 to parties() - 1: different for each, so that one of
  /// them can do what only one should.
  /// Throws: BrokenBarrierError, also when the deadline passes; what the action throws.
  std::uint32_t wait() { return wait_until(Deadline::never()); }
  template <class Rep, class Period>
  std::uint32_t wait_for(std::chrono::duration<Rep, Period> timeout) {
    return wait_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  std::uint32_t wait_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return wait_until(Deadline::at(point));
  }
  std::uint32_t wait_until(Deadline deadline);

  /// Breaks it: those who wait, and all who come, get BrokenBarrierError.
  void abort();
  /// As new: those who wait get BrokenBarrierError, those who come later do not.
  void reset();

  [[nodiscard]] std::uint32_t parties() const noexcept;
  /// How many wait: a moment ago.
  [[nodiscard]] std::uint32_t waiting() const;
  [[nodiscard]] bool broken() const;
  [[nodiscard]] const char* name() const noexcept { return label_.name(); }

 private:
  friend struct Transfer<Barrier>;

  Barrier(std::shared_ptr<detail::SharedObject> object, void (*action)(), std::source_location site) noexcept;

  std::shared_ptr<detail::SharedObject> object_;
  detail::BarrierState* state_;
  void (*action_)();
  Label label_;
};

template <>
struct Transfer<Barrier> {
  static void send(Outgoing& out, const Barrier& barrier);
  static Barrier receive(Incoming& in);
};

}  // namespace weft::process
