// What the kernel says of a process by its pidfd. Results or -errno, as in socket_calls.hpp.
#pragma once

#include <sys/types.h>

#include <optional>

namespace weft::port {

/// Of a child that nobody has waited for yet: else the number may be another process's.
[[nodiscard]] int pidfd_open(pid_t pid) noexcept;
int pidfd_signal(int pidfd, int signal) noexcept;

/// Waits for a child that ends soon, the whole thread, and takes its exit status, whatever it is.
void bury_child(pid_t pid) noexcept;
/// SIGKILL before.
void kill_and_bury(pid_t pid) noexcept;

/// Takes the exit status of a child that has ended: what Python calls its exit code, negative for a signal. Nothing: it has not ended, or
/// somebody else took it.
[[nodiscard]] std::optional<int> take_exit_code(int pidfd) noexcept;
/// Whether it is a child of this process whose exit status nobody has taken yet: it will be there to be taken.
[[nodiscard]] bool is_unburied_child(int pidfd) noexcept;
/// As take_exit_code(), of any process, once its own parent has taken it. Nothing: not yet, or the kernel is older than 6.15.
[[nodiscard]] std::optional<int> exit_code_of_stranger(int pidfd) noexcept;
[[nodiscard]] bool has_ended(int pidfd) noexcept;
/// Whether it is a child of this process that a signal has stopped.
[[nodiscard]] bool is_stopped_child(int pidfd) noexcept;
/// Sleeps, for a millisecond at most, until the exit status of a process that has ended has been taken, on Linux 6.9 and newer.
void await_burial(int pidfd) noexcept;

}  // namespace weft::port
