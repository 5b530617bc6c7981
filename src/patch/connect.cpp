#include <sys/socket.h>

#include <cerrno>

#include "patch/call.hpp"
#include "patch/flags.hpp"
#include "patch/real.hpp"
#include "patch/sockets.hpp"

namespace weft::patch {

WEFT_PATCH_REAL(connect);
WEFT_PATCH_REAL(accept);
WEFT_PATCH_REAL(accept4);

namespace {

// Datagram sockets only note the address. No socket at all: the kernel says so.
bool may_block(int fd) noexcept {
  const int type = socket_option(fd, SO_TYPE);
  return (type == SOCK_STREAM || type == SOCK_SEQPACKET) && is_blocking(fd);
}

int connect_without_blocking(int fd, const sockaddr* address, socklen_t size) noexcept {
  const NonBlockingForAMoment moment{fd};
  const int result = real_connect(fd, address, size);
  return result < 0 ? -errno : result;
}

int connect_and_wait(const Call& call, int fd, const sockaddr* address, socklen_t size) noexcept {
  const int result = connect_without_blocking(fd, address, size);
  if (result == -EAGAIN) {
    // A UNIX socket whose backlog is full. No poll tells when there is room again.
    return call.on_helper([=] { return real_connect(fd, address, size); });
  }
  if (result != -EINPROGRESS && result != -EALREADY) {
    errno = -result;
    return result < 0 ? -1 : 0;
  }
  Waits waits{call, fd, POLLOUT, SO_SNDTIMEO};
  while (!waits.is_ready()) {
    if (!waits.wait(-result)) return -1;
  }
  // Decided: does not block any more, and takes the socket to where a blocking connect leaves it.
  return real_connect(fd, address, size);
}

/// What is not listening fails at once, and would never become readable.
bool may_wait_for_peers(int fd) noexcept {
  return socket_option(fd, SO_ACCEPTCONN) == 1;
}

}  // namespace

}  // namespace weft::patch

using namespace weft::patch;

WEFT_PATCHES int connect(int fd, const sockaddr* address, socklen_t size) {
  if (!on_fiber() || !may_block(fd)) return real_connect(fd, address, size);
  WEFT_PATCH_CALL("connect");
  return connect_and_wait(call, fd, address, size);
}

WEFT_PATCHES int accept(int fd, sockaddr* address, socklen_t* size) {
  if (!on_fiber() || !may_wait_for_peers(fd)) return real_accept(fd, address, size);
  WEFT_PATCH_CALL("accept");
  return Waits{call, fd, POLLIN, SO_RCVTIMEO}.when_ready([=] { return real_accept(fd, address, size); });
}

WEFT_PATCHES int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  if (!on_fiber() || !may_wait_for_peers(fd)) return real_accept4(fd, address, size, flags);
  WEFT_PATCH_CALL("accept4");
  return Waits{call, fd, POLLIN, SO_RCVTIMEO}.when_ready([=] { return real_accept4(fd, address, size, flags); });
}
