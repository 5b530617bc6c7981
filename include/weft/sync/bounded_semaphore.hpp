#pragma once

#include <cstdint>

#include <weft/sync/semaphore.hpp>

namespace weft {

/// A Semaphore that never has more permits than it began with: giving back one that was not taken is an error.
///
/// Semantics:     after Python threading.BoundedSemaphore: release() throws InvalidStateError instead of exceeding the
///                first value, and adds nothing.
/// Thread-safety, blocking, ordering, cost: those of Semaphore.
class BoundedSemaphore : public Semaphore {
 public:
  /// Throws: InvalidStateError for a count above max_value().
  explicit BoundedSemaphore(std::uint32_t permits = 1, const char* name = nullptr,
                            std::source_location site = std::source_location::current())
      : Semaphore{permits, permits, {name, site}} {}
};

}  // namespace weft
