// Sleeping. Nothing interrupts a fiber's sleep, so nothing is ever left of it.

#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "patch/call.hpp"
#include "patch/real.hpp"

namespace weft::patch {

WEFT_PATCH_REAL(sleep);
WEFT_PATCH_REAL(usleep);
WEFT_PATCH_REAL(nanosleep);
WEFT_PATCH_REAL(clock_nanosleep);

namespace {

bool is_valid(const timespec& time) noexcept {
  return time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < 1'000'000'000;
}

auto duration_of(const timespec& time) noexcept {
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

/// Clocks of the world's time; those that count a process's or a thread's own are left to the kernel.
bool is_of_the_world(clockid_t clock) noexcept {
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
      return true;
    default:
      return false;
  }
}

/// Such clocks may be set, or count what the steady one does not: it is looked at once a second at least.
void sleep_until_clock_says(const Call& call, clockid_t clock, const timespec& time) noexcept {
  for (;;) {
    timespec now{};
    ::clock_gettime(clock, &now);
    if (now.tv_sec > time.tv_sec || (now.tv_sec == time.tv_sec && now.tv_nsec >= time.tv_nsec)) return;
    const bool is_far = time.tv_sec - now.tv_sec > 1;
    const auto left = is_far ? std::chrono::seconds{1} : duration_of(time) - duration_of(now);
    call.sleep_until(Deadline::after(std::min<std::chrono::nanoseconds>(left, std::chrono::seconds{1})));
  }
}

}  // namespace

}  // namespace weft::patch

using namespace weft::patch;

WEFT_PATCHES unsigned sleep(unsigned seconds) {
  if (!on_fiber()) return real_sleep(seconds);
  WEFT_PATCH_CALL("sleep");
  call.sleep_until(weft::Deadline::after(std::chrono::seconds{seconds}));
  return 0;
}

WEFT_PATCHES int usleep(useconds_t microseconds) {
  if (!on_fiber()) return real_usleep(microseconds);
  WEFT_PATCH_CALL("usleep");
  call.sleep_until(weft::Deadline::after(std::chrono::microseconds{microseconds}));
  return 0;
}

WEFT_PATCHES int nanosleep(const timespec* time, timespec* left) {
  if (!on_fiber() || !is_valid(*time)) return real_nanosleep(time, left);
  WEFT_PATCH_CALL("nanosleep");
  call.sleep_until(weft::Deadline::after(duration_of(*time)));
  return 0;
}

WEFT_PATCHES int clock_nanosleep(clockid_t clock, int flags, const timespec* time, timespec* left) {
  if (!on_fiber() || !is_valid(*time)) return real_clock_nanosleep(clock, flags, time, left);
  WEFT_PATCH_CALL("clock_nanosleep");
  if (!is_of_the_world(clock)) return call.on_helper([=] { return real_clock_nanosleep(clock, flags, time, left); });
  if (flags & TIMER_ABSTIME) {
    sleep_until_clock_says(call, clock, *time);
  } else {
    call.sleep_until(weft::Deadline::after(duration_of(*time)));
  }
  return 0;
}
