#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <weft/base/deadline.hpp>
#include <weft/base/owned_fd.hpp>

namespace weft::process::detail {

/// The keeper (src/keeper/main.cpp) of this process, as it is told what to do: a process that removes names from /dev/shm when this one
/// has ended, by kill -9 if need be.
///
/// Thread-safety: none of its own.
/// Blocking:      start() takes about as long as the start of a small program.
class NameKeeper {
 public:
  /// What became of an order. Gone: there is no keeper, or no longer.
  enum class Told { Yes, No, Gone };

  /// Starts one, which knows no names. False: the system does not let us (no descriptors, no processes, no /proc, memory that must not
  /// be executed), or it would be in the way of this process, or there is none for this processor.
  bool start() noexcept;
  /// To remove the name when this process has ended, if the file still has it.
  Told keep(const char* name, ino_t inode) noexcept { return tell(name, inode); }
  /// Nothing is to be done about that file any more.
  void forget(ino_t inode) noexcept { (void)tell("", inode); }
  /// It removes what it was told of now, if nobody else has this end of its socket.
  void leave() noexcept;
  /// Whether there is one for this processor, and this build.
  [[nodiscard]] static bool is_built() noexcept;

 private:
  Told tell(const char* name, ino_t inode) noexcept;
  [[nodiscard]] bool has_socket() noexcept;
  [[nodiscard]] bool may_start() noexcept;

  OwnedFd socket_;
  struct stat socket_file_ {};
  bool refused_ = false;
  int starts_ = 0;
  Deadline start_again_ = Deadline::already();  // the starts begin to count anew
};

}  // namespace weft::process::detail
