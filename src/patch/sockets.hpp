#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "patch/call.hpp"

namespace weft::patch {

// The parts of the socket calls that others are made of. Each blocks as its namesake does, as far as the program
// has not asked otherwise, and sets errno.

ssize_t receive(const Call& call, int fd, void* buffer, std::size_t size, int flags, sockaddr* from,
                socklen_t* from_size) noexcept;
ssize_t receive_message(const Call& call, int fd, msghdr* message, int flags) noexcept;
ssize_t send_message(const Call& call, int fd, const msghdr* message, int flags) noexcept;
/// One buffer: `to` may be null.
ssize_t send_buffer(const Call& call, int fd, const void* data, std::size_t size, int flags, const sockaddr* to,
                    socklen_t to_size) noexcept;

[[nodiscard]] int socket_option(int fd, int option) noexcept;

}  // namespace weft::patch
