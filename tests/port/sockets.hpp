#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>

#include "port/socket_calls.hpp"
#include "support/descriptor_message.hpp"

namespace weft::port {

struct Closing {
  const int fd;
  explicit Closing(int open) : fd{open} {}
  ~Closing() { sys_close(fd); }
  Closing(const Closing&) = delete;
  Closing& operator=(const Closing&) = delete;
};

/// Two connected stream sockets.
struct Pair {
  int a = -1;
  int b = -1;
  explicit Pair(int type = SOCK_STREAM) {
    int fds[2] = {-1, -1};
    EXPECT_EQ(sys_socketpair(AF_UNIX, type, fds), 0);
    a = fds[0];
    b = fds[1];
  }
  ~Pair() {
    sys_close(a);
    sys_close(b);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
};

/// On a free port of 127.0.0.1.
class Listener {
 public:
  Listener() {
    name_.sin_family = AF_INET;
    name_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = size();
    EXPECT_EQ(sys_bind(fd(), address(), bytes), 0);
    EXPECT_EQ(sys_listen(fd(), 10), 0);
    EXPECT_EQ(sys_getsockname(fd(), reinterpret_cast<sockaddr*>(&name_), &bytes), 0);
  }

  [[nodiscard]] int fd() const { return socket_.fd; }
  [[nodiscard]] const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&name_); }
  [[nodiscard]] static socklen_t size() { return sizeof(sockaddr_in); }

 private:
  const Closing socket_{sys_socket(AF_INET, SOCK_STREAM, 0)};
  sockaddr_in name_{};
};

struct OneByte {
  char byte = 'x';
};
/// A message of one byte with room for one descriptor.
struct Rights : OneByte, test::DescriptorMessage {
  Rights() : DescriptorMessage{&byte, 1} {}
};

/// In memory; to be closed.
inline int file_of(std::string_view text) {
  const int fd = ::memfd_create("weft-test", MFD_CLOEXEC);
  EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return fd;
}

}  // namespace weft::port
