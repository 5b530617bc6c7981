#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include <weft/base/owned_fd.hpp>
#include <weft/process/process.hpp>

#include "process/lifeline.hpp"

namespace weft::detail {

/// A child that has been started; one that nobody takes over dies.
struct Launched {
  pid_t pid = 0;
  OwnedFd end;  // its pidfd
  std::unique_ptr<Lifeline> lifeline;
  std::uint64_t server = 0;  // the fork server that is its parent; 0: this process
  bool self_buried = false;  // the kernel keeps its exit code for whoever has its pidfd
};

// `whom` names it in errors: OSError, or what the fork server objects.
[[nodiscard]] Launched launch_by_fork(ProcessState& state, Process* object, const std::string& whom);
[[nodiscard]] Launched launch_by_spawn(const process::Outgoing& parcel, const std::string& whom);
[[nodiscard]] Launched launch_by_fork_server(const process::Outgoing& parcel, const std::string& whom);

}  // namespace weft::detail
