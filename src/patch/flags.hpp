#pragma once

#include <fcntl.h>
#include <sys/ioctl.h>

#include "patch/real.hpp"

namespace weft::patch {

WEFT_PATCH_REAL(fcntl);
WEFT_PATCH_REAL(fcntl64);
WEFT_PATCH_REAL(ioctl);

/// connect() is the one call that can be kept from blocking only by the descriptor's O_NONBLOCK. It is set for that
/// one system call, and meanwhile nobody in this process may look at flags, or change them: whoever does either is
/// in a room that others of its kind may enter, and the other kind may not.
class FlagRoom {
 public:
  enum class Kind : int { Connecting = 1, Looking = -1 };

  explicit FlagRoom(Kind kind) noexcept;
  ~FlagRoom();
  FlagRoom(const FlagRoom&) = delete;
  FlagRoom& operator=(const FlagRoom&) = delete;

  /// In a forked child: whoever was inside is not here.
  static void forget() noexcept;

 private:
  const int step_;
  bool entered_ = false;
};

/// The descriptor's flags as the program has set them, or -1.
[[nodiscard]] int steady_flags(int fd) noexcept;

/// Makes a blocking descriptor non-blocking while it lives.
class NonBlockingForAMoment {
 public:
  explicit NonBlockingForAMoment(int fd) noexcept;
  ~NonBlockingForAMoment();
  NonBlockingForAMoment(const NonBlockingForAMoment&) = delete;
  NonBlockingForAMoment& operator=(const NonBlockingForAMoment&) = delete;

 private:
  const FlagRoom room_{FlagRoom::Kind::Connecting};
  const int fd_;
};

}  // namespace weft::patch
