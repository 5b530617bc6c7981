#pragma once

namespace weft::process::detail {

/// From now on the monitor's search for deadlocks goes beyond this process.
void watch_family() noexcept;

}  // namespace weft::process::detail
