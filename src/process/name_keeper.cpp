#include "process/name_keeper.hpp"

#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <utility>

#include "keeper/order.hpp"
#include "port/pidfd.hpp"
#include "port/socket_calls.hpp"

#ifdef WEFT_KEEPER_IMAGE
asm(".section .rodata\n"
    ".balign 16\n"
    ".hidden weft_keeper_image\n"
    ".globl weft_keeper_image\n"
    "weft_keeper_image:\n"
    ".incbin \"" WEFT_KEEPER_IMAGE "\"\n"
    ".hidden weft_keeper_image_end\n"
    ".globl weft_keeper_image_end\n"
    "weft_keeper_image_end:\n"
    ".previous\n");
extern "C" const char weft_keeper_image[];
extern "C" const char weft_keeper_image_end[];
#endif

namespace weft::process::detail {

using keeper::kSocket;
using keeper::Order;

namespace {

/// Beside the socket, and the last that the child has.
constexpr int kProgram = kSocket + 1;

#ifdef WEFT_KEEPER_IMAGE
std::span<const char> image() noexcept { return {weft_keeper_image, weft_keeper_image_end}; }
#else
std::span<const char> image() noexcept { return {}; }
#endif

/// The program as a file that can be executed. None: there cannot be one.
OwnedFd make_file() noexcept {
  constexpr unsigned kExecutable = 0x10;  // MFD_EXEC, since Linux 6.3
  OwnedFd file{::memfd_create("weft-keeper", MFD_CLOEXEC | kExecutable)};
  if (!file && errno == EINVAL) file = OwnedFd{::memfd_create("weft-keeper", MFD_CLOEXEC)};
  const std::span<const char> bytes = image();
  if (bytes.empty() || !file || ::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) return {};
  return file;
}

class Settings {
 public:
  Settings(int socket, int program) noexcept {
    ::posix_spawn_file_actions_init(&actions);
    // Not straight to their places: one may be where the other goes.
    const int aside = std::max({socket, program, kProgram}) + 1;
    good_ = ::posix_spawn_file_actions_adddup2(&actions, program, aside) == 0 &&
            ::posix_spawn_file_actions_adddup2(&actions, socket, kSocket) == 0 &&
            ::posix_spawn_file_actions_adddup2(&actions, aside, kProgram) == 0 &&
            ::posix_spawn_file_actions_addclosefrom_np(&actions, kProgram + 1) == 0;
    sigset_t all;
    ::sigfillset(&all);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    ::posix_spawnattr_setsigmask(&attributes, &all);
  }
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;
  ~Settings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }

  [[nodiscard]] bool good() const noexcept { return good_; }

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;

 private:
  bool good_ = false;
};

}  // namespace

bool NameKeeper::start() noexcept {
  socket_.reset();
  const OwnedFd program = make_file();
  int ends[2];
  if (!program || port::sys_socketpair(AF_UNIX, SOCK_SEQPACKET, ends, port::Blocking::Yes) != 0) return false;
  OwnedFd ours{ends[0]};
  const OwnedFd its{ends[1]};
  const Settings settings{its.get(), program.get()};
  if (!settings.good()) return false;

  const std::string path = "/proc/self/fd/" + std::to_string(kProgram);
  std::string title = "weft-keeper: removes shared memory of " + std::to_string(::getpid());
  char* const argv[] = {title.data(), nullptr};
  char* const environment[] = {nullptr};
  pid_t pid = 0;
  if (::posix_spawn(&pid, path.c_str(), &settings.actions, &settings.attributes, argv, environment) != 0) return false;
  port::bury_child(pid);  // this one has started the keeper
  // Which reads at once. But somebody may stop it, and that is no reason to wait for it.
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(ours.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  socket_ = std::move(ours);
  return true;
}

bool NameKeeper::tell(const std::string& name, ino_t inode) noexcept {
  if (!socket_) return false;
  Order order{};
  order.inode = inode;
  name.copy(order.name, sizeof order.name - 1);
  const ssize_t sent = port::sys_send(socket_.get(), &order, sizeof order, 0);
  return sent == sizeof order || sent == -EAGAIN;
}

}  // namespace weft::process::detail
