#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <weft/base/deadline.hpp>

#include "process/memory/process_stamp.hpp"
#include "process/sync/wait_board.hpp"
#include "support/eventually.hpp"

// What processes tell each other of their waits, for tests that have to know when they do.
namespace weft::test {

[[nodiscard]] inline std::optional<process::detail::Told> told_by(pid_t pid) {
  const process::detail::WaitBoard* const board = process::detail::WaitBoard::of_family();
  for (std::size_t seat = 0; board && seat < board->seats(); ++seat) {
    const std::optional<process::detail::Told> told = board->read(seat);
    if (!told || told->waits.empty() || process::detail::pid_of(told->process) != pid) continue;
    if (!process::detail::process_is_gone(told->process)) return told;  // not of one that had its number
  }
  return std::nullopt;
}

/// Until it has told of a wait that others would have to end.
[[nodiscard]] inline bool soon_tells(pid_t pid) {
  return eventually([&] { return told_by(pid).has_value(); });
}

/// Until each has told of its waits at more looks than it takes to prove a deadlock.
[[nodiscard]] inline bool tell_for_long(const std::vector<pid_t>& pids) {
  constexpr std::size_t kLooks = 4;
  const std::int64_t begin = Deadline::now_nanoseconds();
  return eventually([&] {
    return std::all_of(pids.begin(), pids.end(), [&](pid_t pid) {
      const std::optional<process::detail::Told> told = told_by(pid);
      return told && told->looks[kLooks - 1].begin > begin;
    });
  });
}

/// Until its search sleeps, as nothing has stirred for long.
[[nodiscard]] inline bool soon_looks_no_more(pid_t pid) {
  return eventually([&] {
    const std::optional<process::detail::Told> told = told_by(pid);
    return told && Deadline::now_nanoseconds() - told->looks[0].begin > 500'000'000;
  });
}

}  // namespace weft::test
