#pragma once

#include <cstdint>
#include <source_location>

#include <weft/process/semaphore.hpp>

namespace weft::process {

/// A process::Semaphore that never has more permits than it began with: giving back one that was not taken is an error.
///
/// Semantics:     after Python multiprocessing.BoundedSemaphore: release() throws InvalidStateError instead of
///                exceeding the first value, and adds nothing.
/// Death, thread-safety, blocking, ordering, cost: those of process::Semaphore.
class BoundedSemaphore : public Semaphore {
 public:
  /// Throws: InvalidStateError for a count above max_value(); OSError when there is no memory or no descriptor to be
  /// had.
  explicit BoundedSemaphore(std::uint32_t permits = 1, const char* name = nullptr,
                            std::source_location site = std::source_location::current())
      : Semaphore{permits, permits, name, site} {}

 private:
  friend struct Transfer<BoundedSemaphore>;

  using Semaphore::Semaphore;
};

template <>
struct Transfer<BoundedSemaphore> {
  static void send(Outgoing& out, const BoundedSemaphore& semaphore);
  static BoundedSemaphore receive(Incoming& in);
};

}  // namespace weft::process
