#include "process/start/launch.hpp"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include <weft/base/error.hpp>
#include <weft/fiber/this_fiber.hpp>

#include "port/pidfd.hpp"
#include "process/sending/parcel_socket.hpp"
#include "process/start/child.hpp"
#include "process/start/fork_server.hpp"
#include "process/start/lifeline.hpp"
#include "process/start/program.hpp"

namespace weft::detail {

namespace {

/// Of a child of this process. It cannot be followed without one, so that it must not live either.
OwnedFd pidfd_of_child(pid_t pid, const std::string& whom) {
  const int end = port::pidfd_open(pid);
  if (end >= 0) return OwnedFd{end};
  if (end == -ESRCH) {
    // It has ended, and the kernel has buried it, as this program ignores SIGCHLD: what is followed is as if it were its pidfd.
    OwnedFd ended{::eventfd(1, EFD_CLOEXEC)};
    if (ended) return ended;
    throw OSError{errno, "follow the end of", whom};
  }
  port::kill_and_bury(pid);
  throw OSError{-end, "open a pidfd of", whom};
}

// Never inlined, as fork() looks at what belongs to the thread.
[[gnu::noinline]] pid_t fork_here(int& error) noexcept {
  const pid_t pid = ::fork();
  error = pid < 0 ? errno : 0;
  return pid;
}

}  // namespace

Launched launch_by_fork(ProcessState& state, Process* object, OwnedFd theirs, const std::string& whom) {
  Launched launched;
  const bool on_fiber = in_fiber();
  int error = 0;
  launched.pid = fork_here(error);
  if (launched.pid == 0) live_forked(state, object, theirs.release(), on_fiber);
  if (launched.pid < 0) throw OSError{error, "fork", whom};
  theirs.reset();  // first, as that makes room for the pidfd
  launched.end = pidfd_of_child(launched.pid, whom);
  return launched;
}

Launched launch_by_spawn(const process::Outgoing& parcel, const std::string& whom) {
  Launched launched;
  OwnedFd theirs;
  const Lifeline way{theirs};  // a socket like it: until the child has its parcel it ends when this one is closed
  launched.pid = start_program_anew("spawn", theirs.get(), whom);
  theirs.reset();
  launched.end = pidfd_of_child(launched.pid, whom);
  try {
    // If nobody reads it, the child has ended already: its exit code tells how.
    (void)send_parcel(way.fd(), parcel, launched.end.get());
  } catch (...) {
    port::kill_and_bury(launched.pid);
    throw;
  }
  return launched;
}

// The parcel goes out only when the child is known, so that it can be tried again with another fork server: a child that the first one
// may have made finds its socket closed, and ends.
Launched launch_by_fork_server(const process::Outgoing& parcel, const std::string& whom) {
  constexpr int kAttempts = 2;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Launched launched;
    OwnedFd theirs;
    const Lifeline way{theirs};
    std::optional<ForkServer::Child> child = ForkServer::instance().fork(theirs.get(), whom);
    if (!child) continue;
    theirs.reset();
    try {
      (void)send_parcel(way.fd(), parcel, child->end.get());
    } catch (...) {
      ForkServer::instance().discard(*child);
      throw;
    }
    launched.pid = child->pid;
    launched.end = std::move(child->end);
    launched.server = child->server;
    launched.self_buried = child->self_buried;
    return launched;
  }
  throw InvalidStateError{"start " + whom +
                          ": the fork server, which is this program started anew, ended before it answered, twice. Is "
                          "weft::process::main(argc, argv) the first line of main(), and does nothing that runs before it end the program?"};
}

}  // namespace weft::detail
