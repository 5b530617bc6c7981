#include "port/futex.hpp"

namespace weft::port {

int futex_wait_any(const FutexWord* words, std::size_t count, Deadline deadline) noexcept {
  futex_waitv waiters[kMostFutexWords];
  for (std::size_t i = 0; i < count; ++i) {
    waiters[i] = {};
    waiters[i].val = words[i].expected;
    waiters[i].uaddr = reinterpret_cast<std::uintptr_t>(words[i].address);
    waiters[i].flags = words[i].shared ? FUTEX_32 : FUTEX_32 | FUTEX_PRIVATE_FLAG;
  }
  // The kernel's own type, whatever time_t is; an absolute time, as in futex_wait().
  struct {
    std::int64_t seconds;
    std::int64_t nanoseconds;
  } until{deadline.nanoseconds() / 1'000'000'000, deadline.nanoseconds() % 1'000'000'000};
  const long result =
      ::syscall(SYS_futex_waitv, waiters, count, 0, deadline.is_never() ? nullptr : &until, CLOCK_MONOTONIC);
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace weft::port
