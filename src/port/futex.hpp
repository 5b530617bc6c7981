#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <ctime>

#include <weft/base/deadline.hpp>

namespace weft::port {

/// Sleeps while `*address == expected`, at most until `deadline`. 0, or a negative errno: -EAGAIN (the value differs),
/// -EINTR, -ETIMEDOUT. Wake-ups may be spurious: look at the value again.
inline int futex_wait(const std::uint32_t* address, std::uint32_t expected, Deadline deadline,
                      int kind = FUTEX_PRIVATE_FLAG) noexcept {
  timespec until{};
  const timespec* timeout = nullptr;
  if (!deadline.is_never()) {
    until.tv_sec = deadline.nanoseconds() / 1'000'000'000;
    until.tv_nsec = deadline.nanoseconds() % 1'000'000'000;
    timeout = &until;
  }
  // WAIT_BITSET takes an absolute CLOCK_MONOTONIC time, which is what steady_clock is: an interruption cannot stretch
  // it.
  const long result = ::syscall(SYS_futex, address, FUTEX_WAIT_BITSET | kind, expected, timeout, nullptr,
                                FUTEX_BITSET_MATCH_ANY);
  return result < 0 ? -errno : 0;
}

/// The same in memory that processes share.
inline int futex_wait_shared(const std::uint32_t* address, std::uint32_t expected, Deadline deadline) noexcept {
  return futex_wait(address, expected, deadline, 0);
}

/// Wakes at most `count` sleepers. The memory need not be mapped any more: the kernel then answers EFAULT, ignored.
inline void futex_wake(const std::uint32_t* address, int count = 1) noexcept {
  ::syscall(SYS_futex, address, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, nullptr, nullptr, 0);
}

/// Wakes at most `count` sleepers of any process, in memory that processes share: how many it found.
inline int futex_wake_shared(const std::uint32_t* address, int count) noexcept {
  const long result = ::syscall(SYS_futex, address, FUTEX_WAKE, count, nullptr, nullptr, 0);
  return result < 0 ? 0 : static_cast<int>(result);
}

/// One of the words of futex_wait_any().
struct FutexWord {
  const std::uint32_t* address;
  std::uint32_t expected;
  bool shared;  ///< With other processes.
};
inline constexpr std::size_t kMostFutexWords = FUTEX_WAITV_MAX;

/// Sleeps while every word is what it is expected to be, at most until `deadline`: the number of the one that was
/// woken, or a negative errno: -EAGAIN (one differs), -EINTR, -ETIMEDOUT, -EFAULT, or -ENOSYS before Linux 5.16.
/// Others may have been woken besides.
[[nodiscard]] int futex_wait_any(const FutexWord* words, std::size_t count, Deadline deadline) noexcept;

inline const std::uint32_t* futex_word(const std::atomic<std::uint32_t>& word) noexcept {
  return reinterpret_cast<const std::uint32_t*>(&word);
}

/// The low half of a 64-bit atomic: where little-endian machines keep it.
inline const std::uint32_t* futex_low_half(const std::atomic<std::uint64_t>& word) noexcept {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
  return reinterpret_cast<const std::uint32_t*>(&word);
}

}  // namespace weft::port
