#pragma once

#include <atomic>
#include <cstdint>

#include <weft/base/deadline.hpp>

namespace weft::detail {

/// Steady-clock nanoseconds as of the monitor's last tick, or a worker's last awakening, whichever was later: a few milliseconds
/// old while fibers run. For what is worth a load, but not a look at the clock.
class CoarseClock {
 public:
  [[nodiscard]] static std::int64_t now() noexcept { return now_.load(std::memory_order_relaxed); }
  static void update() noexcept { now_.store(Deadline::now_nanoseconds(), std::memory_order_relaxed); }

 private:
  static inline constinit std::atomic<std::int64_t> now_{0};
};

}  // namespace weft::detail
