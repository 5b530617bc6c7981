#pragma once

#include <cstdint>

namespace weft::detail {

class Worker;

/// Tells, once per place, which fiber has kept its worker from switching for so long, and where it is. Called by the
/// monitor's thread.
void report_stall(const Worker& worker, std::int64_t nanoseconds) noexcept;

}  // namespace weft::detail
