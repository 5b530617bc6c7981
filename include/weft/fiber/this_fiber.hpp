#pragma once

#include <chrono>

#include <weft/base/deadline.hpp>

namespace weft {

/// What the running context does to itself. All of it works on a plain thread as well as on a fiber, and all of it but
/// in_fiber() throws Cancelled when this fiber was killed.

/// Lets others run: the fibers of this worker that are runnable, or, on a plain thread, other threads.
void yield();

/// Waits until nothing else is left to do: until the worker that runs this fiber finds no fiber to run, not even one whose
/// time has come or whose socket is ready. On a plain thread as yield().
/// Semantics: after gevent.idle(), without priorities.
void idle();

/// Waits until the deadline; never for Deadline::never() ends only by kill(). Precision: about 0.1 ms on an idle runtime.
void sleep_until(Deadline deadline);

template <class Rep, class Period>
void sleep_for(std::chrono::duration<Rep, Period> duration) {
  sleep_until(Deadline::after(duration));
}
template <class AnyClock, class AnyDuration>
void sleep_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
  sleep_until(Deadline::at(point));
}

/// Whether the caller runs on a fiber.
[[nodiscard]] bool in_fiber() noexcept;

/// Throws Cancelled when this fiber was killed: for long computations that never block.
void check_cancelled();

}  // namespace weft
