#pragma once

#include <atomic>
#include <cstdint>

#include <weft/base/deadline.hpp>

namespace weft::detail {

/// How long a thread looks on before it sleeps: going to sleep and being woken costs two system calls and several
/// microseconds, and the other side of a busy queue comes within a fraction of one. Each side of a queue has its own,
/// which learns: looking on that was worth it makes it longer, looking on in vain shorter. Never longer than 10 us.
///
/// Not for fibers: the other side may need their worker. Nor do more threads look on than leave a processor free.
class Patience {
 public:
  /// Whether `word` soon differs from `seen`, but for the bits `but_for`. At the latest at the deadline; false at once
  /// if it is not worth it.
  [[nodiscard]] bool wait(const std::atomic<std::uint64_t>& word, std::uint64_t seen, std::uint64_t but_for,
                          Deadline deadline) noexcept;

 private:
  std::atomic<std::uint32_t> nanoseconds_{5'000};
};

}  // namespace weft::detail
