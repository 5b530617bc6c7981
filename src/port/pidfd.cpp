#include "port/pidfd.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace weft::port {

namespace {

// include/uapi/linux/pidfd.h of Linux 6.15, which the headers at hand may not have.
struct PidfdInfo {
  std::uint64_t mask;
  std::uint64_t cgroup_id;
  std::uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  std::int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64);  // version 0
constexpr std::uint64_t kInfoExit = 1 << 3;
constexpr unsigned long kGetInfo = _IOWR(0xFF, 11, PidfdInfo);

constexpr auto kById = static_cast<idtype_t>(3);  // P_PIDFD

}  // namespace

[[gnu::noinline]] int pidfd_open(pid_t pid) noexcept {
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

[[gnu::noinline]] int pidfd_signal(int pidfd, int signal) noexcept {
  return ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) < 0 ? -errno : 0;
}

[[gnu::noinline]] void bury_child(pid_t pid) noexcept {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

[[gnu::noinline]] bool has_ended(int pidfd) noexcept {
  pollfd polled{pidfd, POLLIN, 0};
  return ::poll(&polled, 1, 0) > 0;
}

[[gnu::noinline]] bool is_stopped_child(int pidfd) noexcept {
  siginfo_t info{};
  return ::waitid(kById, static_cast<id_t>(pidfd), &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

void kill_and_bury(pid_t pid) noexcept {
  ::kill(pid, SIGKILL);
  bury_child(pid);
}

[[gnu::noinline]] std::optional<int> take_exit_code(int pidfd) noexcept {
  siginfo_t info{};
  while (::waitid(kById, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  if (info.si_pid == 0) return std::nullopt;
  return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

[[gnu::noinline]] bool is_unburied_child(int pidfd) noexcept {
  siginfo_t info{};
  int result = 0;
  do {
    result = ::waitid(kById, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG | WNOWAIT);
  } while (result < 0 && errno == EINTR);
  return result == 0;
}

[[gnu::noinline]] std::optional<int> exit_code_of_stranger(int pidfd) noexcept {
  PidfdInfo info{};
  info.mask = kInfoExit;
  if (::ioctl(pidfd, kGetInfo, &info) < 0 || !(info.mask & kInfoExit)) return std::nullopt;
  const int status = info.exit_code;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

[[gnu::noinline]] void await_burial(int pidfd) noexcept {
  pollfd polled{pidfd, 0, 0};  // POLLHUP, which is always waited for
  ::poll(&polled, 1, 1);
}

}  // namespace weft::port
