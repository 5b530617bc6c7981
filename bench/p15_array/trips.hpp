// What all programs of p15 do: bytes go to a worker process and come back, changed at both ends. Arguments: --size (bytes), --repeat.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/arguments.hpp"
#include "common/measure.hpp"

namespace bench {

inline void require(bool held, const char* what) {
  if (held) return;
  std::perror(what);
  std::exit(1);
}

inline std::size_t array_size(const Arguments& arguments) { return arguments.number("size", 256 << 20); }

/// A child of fork() that runs `serve(socket)` until its end of a socketpair is closed.
class Worker {
 public:
  template <class Serve>
  explicit Worker(Serve serve) {
    int ends[2];
    require(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    pid_ = ::fork();
    require(pid_ >= 0, "fork");
    if (pid_ == 0) {
      ::close(ends[0]);
      serve(ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    socket_ = ends[0];
  }
  ~Worker() {
    ::close(socket_);
    ::waitpid(pid_, nullptr, 0);
  }
  int socket() const { return socket_; }

 private:
  pid_t pid_;
  int socket_;
};

/// A short message, and a descriptor with it unless it is -1.
inline void send_message(int socket, const void* bytes, std::size_t size, int fd) {
  iovec part{const_cast<void*>(bytes), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  require(::sendmsg(socket, &message, 0) == static_cast<ssize_t>(size), "sendmsg");
}

/// Its size, and the descriptor or -1; size 0: the other end is closed.
inline std::pair<std::size_t, int> receive_message(int socket, void* bytes, std::size_t room) {
  iovec part{bytes, room};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  require(size >= 0, "recvmsg");
  int fd = -1;
  if (const cmsghdr* const header = CMSG_FIRSTHDR(&message)) std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return {static_cast<std::size_t>(size), fd};
}

/// The caller marks the first byte, the worker the last one.
inline void check_marks(std::byte first, std::byte last, unsigned trip) {
  if (first == std::byte(trip) && last == std::byte(trip + 1)) return;
  std::fprintf(stderr, "what came back is not what was sent\n");
  std::exit(1);
}

}  // namespace bench
