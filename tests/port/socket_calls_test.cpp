#include "port/socket_calls.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>

#include "interruptions.hpp"
#include "sockets.hpp"

namespace weft::port {
namespace {

bool is_close_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }
bool is_non_blocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

TEST(SocketCalls, DescriptorsAreCloseOnExecAndNonBlocking) {
  const Listener listener;
  const Closing client{sys_socket(AF_INET, SOCK_STREAM, 0)};
  EXPECT_EQ(sys_connect(client.fd, listener.address(), listener.size()), -EINPROGRESS);
  pollfd readable{listener.fd(), POLLIN, 0};
  ASSERT_EQ(sys_ppoll(&readable, 1, -1), 1);
  const Closing accepted{sys_accept(listener.fd(), nullptr, nullptr)};
  const Pair pair;
  for (const int fd : {listener.fd(), client.fd, accepted.fd, pair.a, pair.b}) {
    ASSERT_GE(fd, 0);
    EXPECT_TRUE(is_close_on_exec(fd));
    EXPECT_TRUE(is_non_blocking(fd));
  }
}

TEST(SocketCalls, CloseOnExecCanBeSetLater) {
  const Closing null{::open("/dev/null", O_RDONLY)};
  ASSERT_FALSE(is_close_on_exec(null.fd));
  EXPECT_EQ(sys_set_close_on_exec(null.fd), 0);
  EXPECT_TRUE(is_close_on_exec(null.fd));
}

TEST(SocketCalls, DescriptorsReceivedAreCloseOnExec) {
  const Pair pair;
  const Closing sent{::open("/dev/null", O_RDONLY)};
  Rights rights;
  std::memcpy(rights.descriptor(), &sent.fd, sizeof sent.fd);
  ASSERT_EQ(sys_sendmsg(pair.a, &rights.message, 0), 1);
  Rights received;
  ASSERT_EQ(sys_recvmsg(pair.b, &received.message, 0), 1);
  int fd = -1;
  std::memcpy(&fd, received.descriptor(), sizeof fd);
  const Closing got{fd};
  EXPECT_NE(got.fd, sent.fd);
  EXPECT_TRUE(is_close_on_exec(got.fd));
}

TEST(SocketCalls, FailuresAreNegativeErrnoValues) {
  char byte = 0;
  off_t offset = 0;
  socklen_t size = 0;
  EXPECT_EQ(sys_socket(-1, SOCK_STREAM, 0), -EAFNOSUPPORT);
  EXPECT_EQ(sys_bind(-1, nullptr, 0), -EBADF);
  EXPECT_EQ(sys_listen(-1, 1), -EBADF);
  EXPECT_EQ(sys_accept(-1, nullptr, nullptr), -EBADF);
  EXPECT_EQ(sys_connect(-1, nullptr, 0), -EBADF);
  EXPECT_EQ(sys_shutdown(-1, SHUT_RD), -EBADF);
  EXPECT_EQ(sys_send(-1, &byte, 1, 0), -EBADF);
  EXPECT_EQ(sys_recv(-1, &byte, 1, 0), -EBADF);
  EXPECT_EQ(sys_sendto(-1, &byte, 1, 0, nullptr, 0), -EBADF);
  EXPECT_EQ(sys_recvfrom(-1, &byte, 1, 0, nullptr, nullptr), -EBADF);
  EXPECT_EQ(sys_sendfile(-1, -1, &offset, 1), -EBADF);
  EXPECT_EQ(sys_getsockopt(-1, SOL_SOCKET, SO_ERROR, &byte, &size), -EBADF);
  EXPECT_EQ(sys_setsockopt(-1, SOL_SOCKET, SO_ERROR, &byte, 1), -EBADF);
  EXPECT_EQ(sys_set_close_on_exec(-1), -EBADF);
  sys_close(-1);
  const Pair pair;
  EXPECT_EQ(sys_recv(pair.a, &byte, 1, 0), -EAGAIN);
  const Listener listener;
  EXPECT_EQ(sys_accept(listener.fd(), nullptr, nullptr), -EAGAIN);
  const Closing second{sys_socket(AF_INET, SOCK_STREAM, 0)};
  EXPECT_EQ(sys_bind(second.fd, listener.address(), listener.size()), -EADDRINUSE);
  sockaddr_in peer{};
  size = sizeof peer;
  EXPECT_EQ(sys_getpeername(second.fd, reinterpret_cast<sockaddr*>(&peer), &size), -ENOTCONN);
}

TEST(SocketCalls, SendFileAdvancesTheOffset) {
  const Pair pair;
  const Closing file{file_of("0123456789")};
  off_t offset = 3;
  EXPECT_EQ(sys_sendfile(pair.a, file.fd, &offset, 4), 4);
  EXPECT_EQ(offset, 7);
  EXPECT_EQ(sys_sendfile(pair.a, file.fd, &offset, 100), 3);
  EXPECT_EQ(sys_sendfile(pair.a, file.fd, &offset, 100), 0);
  char got[20] = {};
  EXPECT_EQ(sys_recv(pair.b, got, sizeof got, 0), 7);
  EXPECT_STREQ(got, "3456789");
}

// ---- EINTR

/// As a program's signal might find it: a descriptor that blocks.
void make_blocking(int fd) { ASSERT_EQ(::fcntl(fd, F_SETFL, 0), 0); }

TEST(SocketCalls, AnInterruptedReceiveIsRepeated) {
  const Pair pair;
  make_blocking(pair.b);
  char got[2] = {};
  Rights received;
  const auto expect_byte = [&](auto receive) {
    const Interruptions interruptions{pair.a, 5};
    EXPECT_EQ(receive(), 1);
    EXPECT_EQ(interruptions.left(), 0);
  };
  expect_byte([&] { return sys_recv(pair.b, got, sizeof got, 0); });
  expect_byte([&] { return sys_recvfrom(pair.b, got, sizeof got, 0, nullptr, nullptr); });
  expect_byte([&] { return sys_recvmsg(pair.b, &received.message, 0); });
}

TEST(SocketCalls, AnInterruptedPollIsReported) {
  const Pair pair;
  const Interruptions interruptions;
  pollfd readable{pair.a, POLLIN, 0};
  EXPECT_EQ(sys_ppoll(&readable, 1, -1), -EINTR);
}

TEST(SocketCalls, PollWaitsAsLongAsItIsTold) {
  const Pair pair;
  pollfd fds[2] = {{pair.a, POLLIN, 0}, {pair.b, POLLIN | POLLOUT, 0}};
  EXPECT_EQ(sys_ppoll(fds, 1, 0), 0);
  EXPECT_EQ(sys_ppoll(fds, 1, 1'000'000), 0);
  EXPECT_EQ(sys_ppoll(fds, 2, -1), 1);
  EXPECT_EQ(sys_send(pair.b, "x", 1, 0), 1);
  EXPECT_EQ(sys_ppoll(fds, 2, 60'000'000'000), 2);
}

}  // namespace
}  // namespace weft::port
