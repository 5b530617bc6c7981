#pragma once

#include <weft/base/owned_fd.hpp>

namespace weft::detail {

/// This process's end of a socket to a child, which lives no longer than this end is open anywhere: by exit, crash or SIGKILL of this
/// process the kernel closes it, and that kills the child. Children of this process, made by any fork(), do not keep it open.
class Lifeline {
 public:
  /// A pair of connected stream sockets; `theirs` is for the child. Throws OSError.
  explicit Lifeline(OwnedFd& theirs);
  ~Lifeline();
  Lifeline(const Lifeline&) = delete;
  Lifeline& operator=(const Lifeline&) = delete;

  /// -1 in a child of fork().
  [[nodiscard]] int fd() const noexcept { return fd_; }

  // Around fork(), by processes.cpp.
  static void lock_for_fork() noexcept;
  static void unlock_after_fork(bool in_child) noexcept;

 private:
  int fd_ = -1;
  Lifeline* next_ = nullptr;
  Lifeline* previous_ = nullptr;
};

/// In the child: from now on it dies with its parent. Nothing may ever have been sent to `theirs`: the kernel lets a message be read before
/// it tells of it, and what it tells kills.
void live_no_longer_than(int theirs) noexcept;

}  // namespace weft::detail
