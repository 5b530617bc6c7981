#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include <weft/base/owned_fd.hpp>
#include <weft/process/process.hpp>

namespace weft::detail {

/// A child that has been started.
struct Launched {
  pid_t pid = 0;
  OwnedFd end;  // its pidfd
  std::uint64_t server = 0;  // the fork server that is its parent; 0: this process
  bool self_buried = false;  // the kernel keeps its exit code for whoever has its pidfd
};

// It dies when the other end of the lifeline is closed; a parcel brings `theirs` as its first descriptor. `whom` names it in errors: OSError,
// or what the fork server objects.
[[nodiscard]] Launched launch_by_fork(ProcessState& state, Process* object, OwnedFd theirs, const std::string& whom);
[[nodiscard]] Launched launch_by_spawn(const process::Outgoing& parcel, const std::string& whom);
[[nodiscard]] Launched launch_by_fork_server(const process::Outgoing& parcel, const std::string& whom);

}  // namespace weft::detail
