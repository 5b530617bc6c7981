#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "patch/call.hpp"
#include "patch/real.hpp"
#include "patch/rest.hpp"
#include "patch/sockets.hpp"

namespace weft::patch {

WEFT_PATCH_REAL(send);
WEFT_PATCH_REAL(sendto);
WEFT_PATCH_REAL(sendmsg);
WEFT_PATCH_REAL(sendmmsg);

namespace {

/// The rest of a message of which a part was sent, on a descriptor that may be waited for: a blocking send ends
/// only when all is on its way, or fails. An error then is the next call's, as in the kernel; so is the signal that
/// comes with a closed pipe.
ssize_t send_rest(Waits& waits, int fd, const msghdr* message, int flags, std::size_t sent,
                  std::size_t total) noexcept {
  Rest rest{message->msg_iov, message->msg_iovlen};
  if (!rest) return static_cast<ssize_t>(sent);
  rest.skip(sent);
  while (sent < total) {
    msghdr piece{};
    piece.msg_iov = rest.begin();
    piece.msg_iovlen = rest.count();
    const ssize_t more = waits.repeat([&] { return real_sendmsg(fd, &piece, flags | MSG_DONTWAIT | MSG_NOSIGNAL); });
    if (more < 0) break;
    rest.skip(static_cast<std::size_t>(more));
    sent += static_cast<std::size_t>(more);
  }
  return static_cast<ssize_t>(sent);
}

}  // namespace

ssize_t send_message(const Call& call, int fd, const msghdr* message, int flags) noexcept {
  if (flags & MSG_DONTWAIT) return real_sendmsg(fd, message, flags);
  // Sending and connecting in one: only the kernel can do both and wait for both.
  if (flags & MSG_FASTOPEN) return call.on_helper([&] { return real_sendmsg(fd, message, flags); });
  Waits waits{call, fd, POLLOUT, SO_SNDTIMEO};
  const ssize_t sent = waits.repeat([&] { return real_sendmsg(fd, message, flags | MSG_DONTWAIT); });
  if (sent < 0) return sent;
  const std::size_t total = Rest::bytes_of(message->msg_iov, message->msg_iovlen);
  if (static_cast<std::size_t>(sent) >= total || !waits.may_wait()) return sent;
  return send_rest(waits, fd, message, flags, static_cast<std::size_t>(sent), total);
}

ssize_t send_buffer(const Call& call, int fd, const void* data, std::size_t size, int flags, const sockaddr* to,
                    socklen_t to_size) noexcept {
  iovec vector{const_cast<void*>(data), size};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(to);
  message.msg_namelen = to ? to_size : 0;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  return send_message(call, fd, &message, flags);
}

}  // namespace weft::patch

using namespace weft::patch;

WEFT_PATCHES ssize_t send(int fd, const void* data, std::size_t size, int flags) {
  if ((flags & MSG_DONTWAIT) || !on_fiber()) return real_send(fd, data, size, flags);
  WEFT_PATCH_CALL("send");
  return send_buffer(call, fd, data, size, flags, nullptr, 0);
}

WEFT_PATCHES ssize_t sendto(int fd, const void* data, std::size_t size, int flags, const sockaddr* to,
                            socklen_t to_size) {
  if ((flags & MSG_DONTWAIT) || !on_fiber()) return real_sendto(fd, data, size, flags, to, to_size);
  WEFT_PATCH_CALL("sendto");
  return send_buffer(call, fd, data, size, flags, to, to_size);
}

WEFT_PATCHES ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (!on_fiber()) return real_sendmsg(fd, message, flags);
  WEFT_PATCH_CALL("sendmsg");
  return send_message(call, fd, message, flags);
}

WEFT_PATCHES int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  if ((flags & MSG_DONTWAIT) || !on_fiber()) return real_sendmmsg(fd, messages, count, flags);
  WEFT_PATCH_CALL("sendmmsg");
  constexpr unsigned kMost = 1024;  // UIO_MAXIOV, at which the kernel stops
  count = std::min(count, kMost);
  for (unsigned i = 0; i < count; ++i) {
    const ssize_t size = send_message(call, fd, &messages[i].msg_hdr, flags);
    if (size < 0) return i > 0 ? static_cast<int>(i) : -1;
    messages[i].msg_len = static_cast<unsigned>(size);
  }
  return static_cast<int>(count);
}
