#pragma once

// What weft/sync/deadlock.hpp sets and the engine obeys. Headers of weft only.

#include <cstdint>
#include <string>

#include <weft/base/unique_function.hpp>

namespace weft {

/// What happens when contexts wait for each other in a circle; in every case the report reaches the hook first.
enum class DeadlockPolicy : std::uint8_t {
  Throw,   ///< The call that closed the circle throws DeadlockError.
  Report,  ///< They wait on.
  Abort    ///< The program is aborted.
};

/// Called by a thread of weft's own, with a report of several lines.
using ReportHook = UniqueFunction<void(const std::string& report)>;

namespace detail {

[[nodiscard]] DeadlockPolicy deadlock_policy() noexcept;
void set_deadlock_policy(DeadlockPolicy policy) noexcept;
/// Nanoseconds; 0: never.
[[nodiscard]] std::int64_t standstill_reported_after() noexcept;
void set_standstill_reported_after(std::int64_t nanoseconds);
/// An empty hook: stderr.
void set_deadlock_hook(ReportHook hook);
void set_standstill_hook(ReportHook hook);

// For the monitor: without any lock of the engine's.
void report_deadlock(const std::string& report) noexcept;
void report_standstill(const std::string& report) noexcept;

}  // namespace detail
}  // namespace weft
