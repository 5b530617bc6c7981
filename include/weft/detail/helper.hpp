#pragma once

#include <weft/base/unique_function.hpp>

namespace weft::detail {

/// Whether the caller should not block its thread: it is a fiber.
[[nodiscard]] bool must_leave_worker() noexcept;
/// Runs job() on a helper thread while the calling fiber is parked. Throws what job() throws, or, before anything else,
/// Cancelled.
void run_on_helper(UniqueFunction<void()> job);

}  // namespace weft::detail
