#pragma once

#include <vector>

#include "engine/waits.hpp"

namespace weft::process::detail {

/// Somebody in another process may come to hold it, but nobody is known to.
inline constexpr weft::detail::FarHolder kNobodyYet{1, 0};

/// Which contexts of other processes must act to end a wait that is marked as `outside`: the holder of a process lock, the process
/// whose end is waited for, or the workers of a pool. Processes are ProcessStamps, of which the start may be lacking. Empty: nobody known. For the monitor, under
/// a pin.
[[nodiscard]] std::vector<weft::detail::FarHolder> far_holders_of(const weft::detail::Wait& wait);

}  // namespace weft::process::detail
