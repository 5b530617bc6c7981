#pragma once

#include <sched.h>
#include <signal.h>

#include <cstddef>
#include <optional>
#include <string>

namespace weft::detail {

/// What of a thread of the operating system is to differ from the one that starts it.
struct ThreadOptions {
  std::size_t stack_bytes = 0;
  std::optional<int> nice;
  std::optional<int> policy;
  int priority = 0;  // of the policy
  std::optional<cpu_set_t> cpus;
  std::optional<sigset_t> blocked_signals;
};

/// Why a thread could not be made as asked for: an errno value and what was tried; 0: it could.
struct Refusal {
  int error = 0;
  std::string operation;
};

/// Sets what concerns scheduling, for the calling thread.
[[nodiscard]] Refusal apply_scheduling(const ThreadOptions& options);

}  // namespace weft::detail
