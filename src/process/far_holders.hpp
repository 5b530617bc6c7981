#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/waits.hpp"

namespace weft::process::detail {

/// Somebody in another process may come to hold it, but nobody is known to.
inline constexpr weft::detail::FarHolder kNobodyYet{1, 0};

/// Which contexts of other processes must act to end a wait that is marked as `outside`: the holder of a process lock, the process
/// whose end is waited for, or the workers of a pool. Processes are ProcessStamps, of which the start may be lacking. Empty: nobody known. For the monitor, under
/// a pin.
[[nodiscard]] std::vector<weft::detail::FarHolder> far_holders_of(const weft::detail::Wait& wait);

/// Who in this process must act to end such a wait.
inline std::size_t nobody_here(const void*, std::uint64_t*, std::size_t) noexcept { return 0; }

}  // namespace weft::process::detail
