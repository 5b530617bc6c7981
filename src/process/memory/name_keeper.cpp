#include "process/memory/name_keeper.hpp"

#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>
#include <utility>

#include "keeper/order.hpp"
#include "port/pidfd.hpp"
#include "port/socket_calls.hpp"
#include "port/spawn_settings.hpp"

// keeper_image.S
extern "C" const char weft_keeper_image[];
extern "C" const char weft_keeper_image_end[];

namespace weft::process::detail {

using keeper::kSocket;
using keeper::Order;

namespace {

/// Beside the socket, and the last that the child has.
constexpr int kProgram = kSocket + 1;

std::span<const char> image() noexcept { return {weft_keeper_image, weft_keeper_image_end}; }

/// The program as a file that can be executed. None: there cannot be one.
OwnedFd make_file() noexcept {
  constexpr unsigned kExecutable = 0x10;  // MFD_EXEC, since Linux 6.3
  OwnedFd file{::memfd_create("weft-keeper", MFD_CLOEXEC | kExecutable)};
  if (!file && errno == EINVAL) file = OwnedFd{::memfd_create("weft-keeper", MFD_CLOEXEC)};
  const std::span<const char> bytes = image();
  if (!file || ::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) return {};
  return file;
}

sigset_t all_signals() noexcept {
  sigset_t all;
  ::sigfillset(&all);
  return all;
}

bool is_same_file(int fd, const struct stat& other) noexcept {
  struct stat about {};
  return ::fstat(fd, &about) == 0 && about.st_dev == other.st_dev && about.st_ino == other.st_ino;
}

/// Of posix_spawn(): next time it will be the same.
bool is_for_ever(int error) noexcept { return error == EACCES || error == EPERM || error == ENOENT || error == ENOEXEC; }

/// Whether it would be adopted by this very process, which might wait for all of its children; or would be the first process of a new
/// pid namespace, and as it ends, take it along.
bool is_in_the_way() noexcept {
  int adopts = 0;
  if (::getpid() == 1 || (::prctl(PR_GET_CHILD_SUBREAPER, &adopts) == 0 && adopts != 0)) return true;
  struct stat own {}, of_children {};
  return ::stat("/proc/thread-self/ns/pid", &own) != 0 || ::stat("/proc/thread-self/ns/pid_for_children", &of_children) != 0 ||
         own.st_ino != of_children.st_ino;
}

}  // namespace

bool NameKeeper::is_built() noexcept { return !image().empty(); }

// Where something kills it as it starts it is not started again and again.
bool NameKeeper::may_start() noexcept {
  constexpr int kMost = 5;
  if (start_again_.has_passed()) {
    starts_ = 0;
    start_again_ = Deadline::after(std::chrono::seconds{10});
  }
  return !refused_ && starts_++ < kMost;
}

bool NameKeeper::start() noexcept {
  if (!is_built() || is_in_the_way() || !may_start()) return false;
  const OwnedFd program = make_file();
  int ends[2];
  if (!program || port::sys_socketpair(AF_UNIX, SOCK_SEQPACKET, ends, port::Blocking::Yes) != 0) return false;
  OwnedFd ours{ends[0]};
  const OwnedFd its{ends[1]};
  port::SpawnSettings settings{all_signals(), POSIX_SPAWN_SETSID};
  // Not straight to their places: one may be where the other goes.
  const int aside = std::max({its.get(), program.get(), kProgram}) + 1;
  settings.give(program.get(), aside);
  settings.give(its.get(), kSocket);
  settings.give(aside, kProgram);
  settings.close_from(kProgram + 1);
  if (settings.error() != 0) return false;

  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", kProgram);
  char title[64];
  std::snprintf(title, sizeof title, "weft-keeper: removes shared memory of %d", static_cast<int>(::getpid()));
  char* const argv[] = {title, nullptr};
  char* const environment[] = {nullptr};
  pid_t pid = 0;
  if (const int error = ::posix_spawn(&pid, path, &settings.actions, &settings.attributes, argv, environment)) {
    refused_ = is_for_ever(error);
    return false;
  }
  port::bury_child(pid);  // this one has started the keeper
  // Which reads at once. But somebody may stop it, and that is no reason to wait for it.
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(ours.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::fstat(ours.get(), &socket_file_) != 0) return false;
  socket_ = std::move(ours);
  return true;
}

void NameKeeper::leave() noexcept {
  if (has_socket()) socket_.reset();
}

// A program may close all descriptors it does not know, and have others by their numbers.
bool NameKeeper::has_socket() noexcept {
  if (socket_ && !is_same_file(socket_.get(), socket_file_)) (void)socket_.release();
  return static_cast<bool>(socket_);
}

NameKeeper::Told NameKeeper::tell(const char* name, ino_t inode) noexcept {
  if (!has_socket()) return Told::Gone;
  Order order{};
  order.inode = inode;
  std::strncpy(order.name, name, sizeof order.name - 1);
  // Not by send(), which may be libweft-patch.so's: a fiber must not be parked here, where a lock is held.
  long sent = 0;
  do {
    sent = ::syscall(SYS_sendto, socket_.get(), &order, sizeof order, MSG_NOSIGNAL, nullptr, 0);
  } while (sent < 0 && errno == EINTR);
  if (sent == sizeof order) return Told::Yes;
  return errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN ? Told::Gone : Told::No;
}

}  // namespace weft::process::detail
