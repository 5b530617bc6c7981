#include <sys/socket.h>
#include <time.h>

#include <cerrno>

#include "patch/call.hpp"
#include "patch/real.hpp"
#include "patch/sockets.hpp"

extern "C" {
// Declared by the headers only for programs that are compiled to be checked.
ssize_t __recv_chk(int fd, void* buffer, std::size_t size, std::size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void* buffer, std::size_t size, std::size_t room, int flags, sockaddr* from,
                       socklen_t* from_size);
}

namespace weft::patch {

WEFT_PATCH_REAL(recv);
WEFT_PATCH_REAL(recvfrom);
WEFT_PATCH_REAL(recvmsg);
WEFT_PATCH_REAL(recvmmsg);
WEFT_PATCH_REAL(__recv_chk);
WEFT_PATCH_REAL(__recvfrom_chk);

namespace {

// Errors of earlier sends and urgent data are there or not: the kernel itself never waits for them.
bool never_waits(int flags) {
  return (flags & (MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB)) != 0;
}

bool is_stream(int fd) noexcept {
  return socket_option(fd, SO_TYPE) == SOCK_STREAM;
}

// On what is no stream MSG_WAITALL has no meaning.
ssize_t receive_all(const Call& call, int fd, void* buffer, std::size_t size, int flags, sockaddr* from,
                    socklen_t* from_size) noexcept {
  Waits waits{call, fd, POLLIN, SO_RCVTIMEO};
  const int once = (flags & ~MSG_WAITALL) | MSG_DONTWAIT;
  std::size_t got = 0;
  do {
    char* const at = static_cast<char*>(buffer) + got;
    const ssize_t more =
        waits.repeat([&] { return real_recvfrom(fd, static_cast<void*>(at), size - got, once, from, from_size); });
    if (more <= 0) return got > 0 ? static_cast<ssize_t>(got) : more;
    got += static_cast<std::size_t>(more);
  } while (got < size && is_stream(fd) && waits.may_wait());
  return static_cast<ssize_t>(got);
}

int receive_messages(const Call& call, int fd, mmsghdr* messages, unsigned count, int flags,
                     Deadline deadline) noexcept {
  const bool wait_for_one = (flags & MSG_WAITFORONE) != 0;
  flags &= ~MSG_WAITFORONE;
  unsigned done = 0;
  while (done < count) {
    msghdr* const message = &messages[done].msg_hdr;
    const ssize_t size = receive_message(call, fd, message, flags | (wait_for_one && done > 0 ? MSG_DONTWAIT : 0));
    if (size < 0) return done > 0 ? static_cast<int>(done) : -1;
    messages[done++].msg_len = static_cast<unsigned>(size);
    // As the kernel does it: after each message, not while it waits for one.
    if (deadline.has_passed() || (message->msg_flags & MSG_OOB) != 0) break;
  }
  return static_cast<int>(done);
}

}  // namespace

int socket_option(int fd, int option) noexcept {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

ssize_t receive(const Call& call, int fd, void* buffer, std::size_t size, int flags, sockaddr* from,
                socklen_t* from_size) noexcept {
  if (never_waits(flags)) return real_recvfrom(fd, buffer, size, flags, from, from_size);
  if (flags & MSG_WAITALL) {
    // What was only looked at is there the next time, too, so that it cannot be collected.
    if (flags & MSG_PEEK)
      return call.on_helper([&] { return real_recvfrom(fd, buffer, size, flags, from, from_size); });
    return receive_all(call, fd, buffer, size, flags, from, from_size);
  }
  Waits waits{call, fd, POLLIN, SO_RCVTIMEO};
  return waits.repeat([&] { return real_recvfrom(fd, buffer, size, flags | MSG_DONTWAIT, from, from_size); });
}

ssize_t receive_message(const Call& call, int fd, msghdr* message, int flags) noexcept {
  if (never_waits(flags)) return real_recvmsg(fd, message, flags);
  // All of a message in pieces would be a matter of each piece's control data.
  if (flags & MSG_WAITALL) return call.on_helper([&] { return real_recvmsg(fd, message, flags); });
  Waits waits{call, fd, POLLIN, SO_RCVTIMEO};
  return waits.repeat([&] { return real_recvmsg(fd, message, flags | MSG_DONTWAIT); });
}

}  // namespace weft::patch

using namespace weft::patch;

WEFT_PATCHES ssize_t recv(int fd, void* buffer, std::size_t size, int flags) {
  if (!on_fiber()) return real_recv(fd, buffer, size, flags);
  WEFT_PATCH_CALL("recv");
  return receive(call, fd, buffer, size, flags, nullptr, nullptr);
}

WEFT_PATCHES ssize_t __recv_chk(int fd, void* buffer, std::size_t size, std::size_t room, int flags) {
  if (size > room || !on_fiber()) return real___recv_chk(fd, buffer, size, room, flags);
  WEFT_PATCH_CALL("recv");
  return receive(call, fd, buffer, size, flags, nullptr, nullptr);
}

WEFT_PATCHES ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from, socklen_t* from_size) {
  if (!on_fiber()) return real_recvfrom(fd, buffer, size, flags, from, from_size);
  WEFT_PATCH_CALL("recvfrom");
  return receive(call, fd, buffer, size, flags, from, from_size);
}

WEFT_PATCHES ssize_t __recvfrom_chk(int fd, void* buffer, std::size_t size, std::size_t room, int flags, sockaddr* from,
                                    socklen_t* from_size) {
  if (size > room || !on_fiber()) return real___recvfrom_chk(fd, buffer, size, room, flags, from, from_size);
  WEFT_PATCH_CALL("recvfrom");
  return receive(call, fd, buffer, size, flags, from, from_size);
}

WEFT_PATCHES ssize_t recvmsg(int fd, msghdr* message, int flags) {
  if (!on_fiber()) return real_recvmsg(fd, message, flags);
  WEFT_PATCH_CALL("recvmsg");
  return receive_message(call, fd, message, flags);
}

WEFT_PATCHES int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  const bool bad = timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1'000'000'000);
  if (bad || never_waits(flags) || !on_fiber()) return real_recvmmsg(fd, messages, count, flags, timeout);
  WEFT_PATCH_CALL("recvmmsg");
  weft::Deadline deadline = weft::Deadline::never();
  if (timeout)
    deadline =
        weft::Deadline::after(std::chrono::seconds{timeout->tv_sec} + std::chrono::nanoseconds{timeout->tv_nsec});
  const int done = receive_messages(call, fd, messages, count, flags, deadline);
  if (timeout && done > 0) {
    const auto left = deadline.remaining().count();
    *timeout = {static_cast<time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
  }
  return done;
}
