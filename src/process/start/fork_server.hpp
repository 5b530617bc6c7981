#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include <weft/base/owned_fd.hpp>
#include <weft/sync/lock.hpp>

namespace weft::detail {

class Descriptor;

/// The helper of this process that forks for it: the program, started anew once, with one thread, idle in a read. Its children are buried
/// as they end, where the kernel keeps exit codes for those who have a pidfd (Linux 6.15); elsewhere it holds them as zombies until it
/// is asked for their exit codes. It ends with this process. One that was killed is replaced by the next start; what it had started runs on.
class ForkServer {
 public:
  [[nodiscard]] static ForkServer& instance() noexcept;

  struct Child {
    pid_t pid = 0;
    OwnedFd end;               // its pidfd
    std::uint64_t server = 0;  // which of the helpers is its parent
    bool self_buried = false;  // its exit code is to be had by its pidfd, not from the helper
  };

  /// Throws: OSError, InvalidStateError.
  void start();
  /// Forks a child that will read a parcel from `socket`, and end if that is closed instead. Nothing: the helper was gone, and is no more.
  /// Throws: OSError; InvalidStateError: the helper is not fit.
  [[nodiscard]] std::optional<Child> fork(int socket, const std::string& whom);
  /// Ends a child that nobody will ask about, so that it does not stay a zombie. The socket it was to read from is closed.
  void discard(const Child& child) noexcept;
  /// Of a child that has ended and is not `self_buried`; nothing: its helper is no longer there.
  [[nodiscard]] std::optional<int> take_exit_code(pid_t pid, std::uint64_t server) noexcept;

  /// In a child of fork(): the helper is the parent's.
  void forget() noexcept;

  struct Request;
  struct Reply;

 private:
  void ensure_running();
  [[nodiscard]] std::optional<Reply> ask(const Request& request, int attached, OwnedFd* received);
  [[nodiscard]] int transfer(bool sends, void* message);
  void bury() noexcept;

  Lock lock_{"fork server"};
  Descriptor* control_ = nullptr;  // this and what follows: guarded by lock_
  OwnedFd end_;                    // the helper's pidfd
  std::uint64_t number_ = 0;
};

/// In the helper. `control`: the socket to its parent.
[[noreturn]] void serve_forks(int control) noexcept;

}  // namespace weft::detail
