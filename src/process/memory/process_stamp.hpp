#pragma once

#include <cstdint>

#include <weft/base/owned_fd.hpp>

namespace weft::process::detail {

/// A process, told from every other one that had or will have its number: bits 3-24 the pid, bits 25-63 when it
/// started, in ticks of 10 ms since the machine did. The low three bits are zero, for whoever keeps a stamp in a word
/// of state. 0: nobody.
///
/// Processes that share an object must see each other under the same numbers and times: one pid namespace, one time
/// namespace. Others would take a living owner for a dead one.
using ProcessStamp = std::uint64_t;

inline constexpr int kStampPidShift = 3, kStampPidBits = 22, kStampStartShift = kStampPidShift + kStampPidBits;
inline constexpr ProcessStamp kStampMask = ~std::uint64_t{7};

[[nodiscard]] constexpr int pid_of(ProcessStamp stamp) noexcept {
  return static_cast<int>((stamp >> kStampPidShift) & ((1u << kStampPidBits) - 1));
}

/// Of the calling process. A load, but for the first time in each process.
[[nodiscard]] ProcessStamp this_process_stamp() noexcept;

/// Tells the namespaces in which this process's stamps mean something from others, as long as somebody is in them. 0: not known.
[[nodiscard]] std::uint64_t stamp_namespaces() noexcept;

/// What can be known of a process at one moment: it is gone when it has ended, reaped by its parent or not. What
/// cannot be found out counts as alive. Some microseconds; `pidfd`, when wanted, becomes readable when the process
/// ends, and is empty if it is gone or there are no descriptors left.
[[nodiscard]] bool process_is_gone(ProcessStamp stamp, OwnedFd* pidfd = nullptr) noexcept;

}  // namespace weft::process::detail
