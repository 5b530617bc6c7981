#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <span>
#include <vector>

#include <weft/base/owned_fd.hpp>

// Descriptors that travel with a message over a UNIX socket (SCM_RIGHTS).
namespace weft::port {

inline constexpr std::size_t kMostPassed = 253;  // of one message: SCM_MAX_FD

/// Where a message keeps its descriptors, while it is sent or received.
struct alignas(cmsghdr) PassedRoom {
  std::byte bytes[CMSG_SPACE(kMostPassed * sizeof(int))];
};

/// Sends them with the message; none is fine. At most kMostPassed.
void attach_descriptors(msghdr& message, PassedRoom& room, std::span<const int> descriptors) noexcept;
void attach_descriptors(msghdr& message, PassedRoom& room, std::span<const OwnedFd> descriptors) noexcept;

/// Before a message is received that may have some.
void expect_descriptors(msghdr& message, PassedRoom& room) noexcept;
/// Adds those that came with a message. False: some were lost, as this process may have no more.
bool take_descriptors(msghdr& message, std::vector<OwnedFd>& descriptors);

}  // namespace weft::port
