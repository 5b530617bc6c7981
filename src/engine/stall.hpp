#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weft::detail {

class Worker;

/// A fiber that has kept its worker from switching, and what its stack looked like.
struct Stall {
  std::string fiber;
  std::uint64_t fiber_id = 0;
  std::int64_t nanoseconds = 0;
  std::uintptr_t instruction = 0;     ///< 0: could not be learned
  std::vector<std::uintptr_t> words;  ///< of its stack, innermost first
};

/// Called by the monitor's thread, with its lock held. Nothing: ask again later.
[[nodiscard]] std::optional<Stall> look_at_stall(const Worker& worker, std::int64_t nanoseconds) noexcept;

/// Tells about it on stderr, once per place. Called without any lock: it asks the dynamic linker for names.
void report(const Stall& stall) noexcept;
/// In a forked child: the monitor may have been in the midst of noting one.
void forget_stalls() noexcept;

}  // namespace weft::detail
