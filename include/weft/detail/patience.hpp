#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <weft/base/deadline.hpp>

namespace weft::detail {

/// How long a thread looks on before it sleeps: going to sleep and being woken costs two system calls and several
/// microseconds, and the other side of a busy queue comes within a fraction of one. Each side of a queue has its own, which
/// learns: looking on that was worth it makes it longer, looking on in vain shorter. Never longer than 50 us.
///
/// Not for fibers: the other side may need their worker. Nor do more threads look on than leave a processor free.
class Patience {
 public:
  /// Whether `watched` soon lies in [low, high]. At the latest at the deadline; false at once if it is not worth it.
  [[nodiscard]] bool wait(const std::atomic<std::size_t>& watched, std::size_t low, std::size_t high,
                          Deadline deadline) noexcept;

 private:
  std::atomic<std::uint32_t> nanoseconds_{20'000};
};

}  // namespace weft::detail
