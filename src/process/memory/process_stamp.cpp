#include "process/memory/process_stamp.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine/fork.hpp"

namespace weft::process::detail {

namespace {

std::atomic<ProcessStamp> own_stamp{0};

weft::detail::ForkHook fork_hook{.before = []() noexcept {},
                                 .after = [](bool in_child) noexcept {
                                   if (in_child) own_stamp.store(0, std::memory_order_relaxed);
                                 }};
[[maybe_unused]] const bool fork_is_prepared = (weft::detail::add_fork_hook(fork_hook), true);

// Field 22 of /proc/PID/stat. 0: cannot be read. Field 2, the program's name in parentheses, may hold anything.
std::uint64_t start_time(int pid) noexcept {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[1024];
  const auto length = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (length <= 0) return 0;
  text[length] = '\0';
  const char* at = std::strrchr(text, ')');
  for (int field = 2; at && field < 22; ++field) at = std::strchr(at + 1, ' ');
  return at ? std::strtoull(at, nullptr, 10) : 0;
}

ProcessStamp stamp_of(int pid, std::uint64_t start) noexcept {
  return std::uint64_t(static_cast<unsigned>(pid)) << kStampPidShift | start << kStampStartShift;
}

}  // namespace

[[gnu::noinline]] ProcessStamp this_process_stamp() noexcept {
  ProcessStamp stamp = own_stamp.load(std::memory_order_relaxed);
  if (stamp != 0) [[likely]] return stamp;
  const int pid = ::getpid();
  stamp = stamp_of(pid, start_time(pid));
  own_stamp.store(stamp, std::memory_order_relaxed);
  return stamp;
}

std::uint64_t stamp_namespaces() noexcept {
  struct stat of_pids {};
  struct stat of_times {};
  if (::stat("/proc/self/ns/pid", &of_pids) != 0) return 0;
  (void)::stat("/proc/self/ns/time", &of_times);  // since Linux 5.6
  return static_cast<std::uint64_t>(of_times.st_ino) << 32 | static_cast<std::uint32_t>(of_pids.st_ino);
}

bool process_is_gone(ProcessStamp stamp, OwnedFd* wanted) noexcept {
  const int pid = pid_of(stamp);
  // First the descriptor, then who it is: should the number be given to another process in between, the times differ.
  OwnedFd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  if (!pidfd && errno == ESRCH) return true;
  if (!pidfd && ::kill(pid, 0) != 0 && errno == ESRCH) return true;
  // Readable: all of its threads have ended. (Its entry in /proc calls it a zombie already when the first one has.)
  pollfd ended{pidfd.get(), POLLIN, 0};
  if (pidfd && ::poll(&ended, 1, 0) == 1) return true;
  // Without a descriptor one can still ask for a child, which stays a zombie as long as its parent waits for what it held.
  siginfo_t child{};
  if (!pidfd && ::waitid(P_PID, static_cast<id_t>(pid), &child, WEXITED | WNOHANG | WNOWAIT) == 0 && child.si_pid == pid) return true;
  // A time that is not known, there or here (no /proc, or one that hides other users' processes), tells nothing.
  const std::uint64_t start = stamp >> kStampStartShift;
  if (start != 0) {
    const std::uint64_t found = start_time(pid);
    if (found != 0 && found << kStampStartShift >> kStampStartShift != start) return true;
  }
  if (wanted) *wanted = std::move(pidfd);
  return false;
}

}  // namespace weft::process::detail
