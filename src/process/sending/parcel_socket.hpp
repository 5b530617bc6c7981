#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <weft/base/owned_fd.hpp>
#include <weft/process/parcel.hpp>

namespace weft::detail {

/// Sends a parcel into a stream socket, blocking as weft blocks, but not interruptible. False: nobody will read it; `reader` is the pidfd of
/// who would, as others may have copies of his end of the socket. Throws: OSError, for more descriptors than may be under way.
[[nodiscard]] bool send_parcel(int socket, const process::Outgoing& parcel, int reader);

struct ReceivedParcel {
  std::vector<std::byte> bytes;
  std::vector<OwnedFd> descriptors;
};
/// Blocks the whole thread. Nothing: the sender gave up. Throws: OSError, for more descriptors than this process may have.
[[nodiscard]] std::optional<ReceivedParcel> receive_parcel(int socket);

}  // namespace weft::detail
