#pragma once

#include <linux/limits.h>
#include <stdint.h>

namespace weft::keeper {

/// What the keeper is told of a name in /dev/shm, one message each.
struct Order {
  /// Of the file that has the name. Never 0.
  uint64_t inode;
  /// Which that file is to lose. Without a slash; ends with a 0. Empty: none from now on.
  char name[NAME_MAX + 1];
};

/// Its end of the socket, a SOCK_SEQPACKET, as it starts.
inline constexpr int kSocket = 3;

}  // namespace weft::keeper
