#pragma once

#include <cstdint>
#include <ctime>

namespace weft::port {

/// How long this thread has run.
inline std::int64_t thread_cpu_nanoseconds() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace weft::port
