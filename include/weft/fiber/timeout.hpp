#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/detail/time_limit.hpp>

namespace weft {

/// At most so long, for all that the calling context does while the object lives: a blocking call that would wait
/// longer throws TimeoutExpired, a TimeoutError, that this object knows as its own.
///
///     weft::Timeout limit{2s};
///     try {
///       talk_to(peer);
///     } catch (const weft::TimeoutExpired& error) {
///       if (!limit.is(error)) throw;  // that of a caller, who waits for it
///       limit.cancel();               // else what follows here would have no time either
///       give_up_on(peer);
///     }
///
/// Semantics:     after gevent.Timeout, started when made. Differs: it throws from blocking calls only, and from each
///                of them until it is cancelled or left, so that whoever swallows the exception does not win time. A
///                call that got what it waited for returns it, however late. What ends first throws first, be it around
///                or within; of two that ended at the same time it is the outer one. For what is exempt from it, see
///                Scopes in <weft/sync/scope.hpp>.
/// Thread-safety: an object belongs to its context, a thread or a fiber, and is made, nested and destroyed by it
///                in the order of a stack.
/// Cost:          some loads and stores; waits that outlast it are timed waits.
class Timeout {
 public:
  /// `name` appears in the exception's text and must outlive the object: a literal.
  template <class Rep, class Period>
  explicit Timeout(std::chrono::duration<Rep, Period> length, const char* name = nullptr,
                   std::source_location site = std::source_location::current())
      : limit_{Deadline::after(length), rounded(length), {name, site}} {}
  Timeout(const Timeout&) = delete;
  Timeout& operator=(const Timeout&) = delete;

  /// Whether it was this one that threw.
  [[nodiscard]] bool is(const TimeoutExpired& error) const noexcept { return limit_.threw(error); }

  /// It has not expired, nor been cancelled.
  [[nodiscard]] bool pending() const {
    return !limit_.deadline().is_never() && !limit_.deadline().has_passed();
  }
  /// It will not throw any more, unless started again. Does nothing the second time.
  void cancel() noexcept { limit_.set(Deadline::never(), Duration::max()); }
  /// From now on so long, whether or not it has expired.
  template <class Rep, class Period>
  void restart(std::chrono::duration<Rep, Period> length) {
    limit_.set(Deadline::after(length), rounded(length));
  }

  /// Calls callable() for at most so long. False: the time was up, and the call was left by TimeoutExpired.
  /// Throws: what callable() throws otherwise, the timeouts of others included.
  template <class Rep, class Period, class F>
  [[nodiscard]] static bool silent(std::chrono::duration<Rep, Period> length, F&& callable,
                                   std::source_location site = std::source_location::current()) {
    Timeout limit{length, nullptr, site};
    try {
      std::invoke(std::forward<F>(callable));
    } catch (const TimeoutExpired& error) {
      if (!limit.is(error)) throw;
      return false;
    }
    return true;
  }

 private:
  // For the text.
  template <class Rep, class Period>
  static Duration rounded(std::chrono::duration<Rep, Period> length) {
    const std::chrono::duration<double, std::nano> nanoseconds{length};
    return Duration{static_cast<std::int64_t>(std::clamp(nanoseconds.count(), -9e18, 9e18))};
  }

  detail::TimeLimit limit_;
};

/// The value of callable(), if it is done in time, else `otherwise`.
/// Semantics: after gevent.with_timeout(). Throws: what callable() throws, the timeouts of others included.
template <class Rep, class Period, class F, class Otherwise>
[[nodiscard]] std::invoke_result_t<F> with_timeout(
    std::chrono::duration<Rep, Period> length, F&& callable, Otherwise&& otherwise,
    std::source_location site = std::source_location::current()) {
  Timeout limit{length, nullptr, site};
  try {
    return std::invoke(std::forward<F>(callable));
  } catch (const TimeoutExpired& error) {
    if (!limit.is(error)) throw;
  }
  limit.cancel();
  return std::forward<Otherwise>(otherwise);
}

}  // namespace weft
