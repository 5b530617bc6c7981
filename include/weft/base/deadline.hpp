#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace weft {

/// The clock of every deadline: steady, so that setting the wall clock moves no timeout.
using Clock = std::chrono::steady_clock;
using Duration = std::chrono::nanoseconds;

/// A moment until which a call may wait: one steady-clock point, computed once at the outermost call.
///
/// Default: never. Overflow saturates to never; a duration of zero or less has already passed.
/// Thread-safety: a value. Cost: after() reads the clock once; never() and already() do not.
class Deadline {
 public:
  constexpr Deadline() = default;

  [[nodiscard]] static constexpr Deadline never() { return Deadline{}; }
  [[nodiscard]] static constexpr Deadline already() { return Deadline{0}; }

  template <class Rep, class Period>
  [[nodiscard]] static Deadline after(std::chrono::duration<Rep, Period> timeout) {
    return after_nanoseconds(to_nanoseconds(timeout));
  }

  /// A point of any clock; points of other clocks are converted through the time left until them.
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] static Deadline at(std::chrono::time_point<AnyClock, AnyDuration> point) {
    if constexpr (std::is_same_v<AnyClock, Clock>) {
      const std::int64_t ns = to_nanoseconds(point.time_since_epoch());
      return Deadline{ns < 0 ? 0 : ns};
    } else {
      // Roughly first: points of coarse clocks reach farther than nanoseconds can count.
      using Rough = std::chrono::duration<double, std::nano>;
      const auto now = AnyClock::now();
      const Rough left = Rough{point.time_since_epoch()} - Rough{now.time_since_epoch()};
      constexpr Rough kExact{1e18};  // 31 years
      return left > kExact || left < -kExact ? after(left) : after(point - now);
    }
  }

  /// Steady-clock nanoseconds; the largest value stands for never, one below zero for already.
  [[nodiscard]] static constexpr Deadline from_nanoseconds(std::int64_t ns) { return Deadline{ns < 0 ? 0 : ns}; }
  [[nodiscard]] constexpr std::int64_t nanoseconds() const { return ns_; }

  [[nodiscard]] constexpr bool is_never() const { return ns_ == kNever; }
  [[nodiscard]] bool has_passed() const { return !is_never() && (ns_ == 0 || now_nanoseconds() >= ns_); }

  /// Time left: zero when passed, Duration::max() for never.
  [[nodiscard]] Duration remaining() const {
    if (is_never()) return Duration::max();
    const std::int64_t left = ns_ - now_nanoseconds();
    return Duration{left < 0 ? 0 : left};
  }

  [[nodiscard]] static constexpr Deadline earlier(Deadline a, Deadline b) { return a < b ? a : b; }

  friend constexpr auto operator<=>(Deadline, Deadline) = default;

  [[nodiscard]] static std::int64_t now_nanoseconds() {
    return std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch()).count();
  }

 private:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  constexpr explicit Deadline(std::int64_t ns) : ns_{ns} {}

  template <class Rep, class Period>
  static constexpr std::int64_t to_nanoseconds(std::chrono::duration<Rep, Period> d) {
    // Compared in floating point: duration_cast of hours::max() would overflow.
    const double ns = std::chrono::duration<double, std::nano>(d).count();
    if (ns >= 9.2e18) return kNever;
    if (ns <= -9.2e18) return std::numeric_limits<std::int64_t>::min();
    return std::chrono::ceil<Duration>(d).count();
  }

  static Deadline after_nanoseconds(std::int64_t ns) {
    if (ns <= 0) return already();
    const std::int64_t now = now_nanoseconds();
    return Deadline{ns > kNever - now ? kNever : now + ns};
  }

  std::int64_t ns_ = kNever;
};

}  // namespace weft
