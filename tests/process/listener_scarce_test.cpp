#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/net/socket.hpp>
#include <weft/process/listener.hpp>

#include "port/passed_descriptors.hpp"
#include "port/socket_calls.hpp"
#include "support/eventually.hpp"
#include "support/in_child.hpp"

// A listener with a key, in a process that has as many descriptors open as it may.
namespace weft::test {
namespace {

using process::Client;
using process::Connection;
using process::Listener;

/// All descriptors that there are.
std::vector<OwnedFd> all_descriptors() {
  std::vector<OwnedFd> all;
  for (;;) {
    OwnedFd fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    if (!fd) return all;
    all.push_back(std::move(fd));
  }
}

bool limit_descriptors(rlim_t most) {
  const rlimit limit{most, most};
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

Duration cpu_time() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec};
}

// The client knocks, and there is no descriptor for it until another fiber of the same worker has given some up.
int accepts_when_there_are_descriptors_again() {
  if (!limit_descriptors(100)) return 1;
  int result = 2;
  Runtime runtime{{.workers = 1}};
  runtime.run([&] {
    Listener listener{{"127.0.0.1", 0}, {.authkey = "key"}};
    Socket knocking = Socket::tcp();
    knocking.connect(listener.address());
    std::vector<OwnedFd> all = all_descriptors();
    auto acceptor = spawn([&] { return listener.accept(Deadline::after(kPatience)).recv_bytes(Deadline::after(kPatience)); });
    for (int i = 0; i < 10; ++i) yield();
    const Duration before = cpu_time();
    sleep_for(200ms);
    // It has other things to do than to look again and again.
    if (cpu_time() - before > 100ms) {
      result = 3;
      return;
    }
    all.clear();
    Connection{OwnedFd{knocking.detach()}}.close();
    Client{listener.address(), {.authkey = "key"}}.send_bytes("came");
    result = acceptor.get() == "came" ? 0 : 4;
  });
  return result;
}

TEST(ListenerWithoutDescriptors, LeavesItsWorkerToOthersAndGoesOnWhenThereAreSome) {
  EXPECT_EQ(in_child([] { return accepts_when_there_are_descriptors_again(); }), 0);
}

// Whether the peer has read all that was sent.
bool soon_read(int socket) {
  return eventually([&] {
    int unread = -1;
    return ::ioctl(socket, SIOCOUTQ, &unread) == 0 && unread == 0;
  });
}

int takes_no_descriptors_of_a_stranger() {
  if (!limit_descriptors(200)) return 1;
  const std::size_t before = all_descriptors().size();
  Listener listener{{.authkey = "key"}};
  Socket stranger = Socket::open(Family::Unix, SocketType::Stream);
  stranger.connect(listener.address());
  std::thread acceptor{[&] {
    try {
      (void)listener.accept(Deadline::after(kPatience));
    } catch (const OSError&) {  // closed below
    }
  }};
  // Byte by byte, so that the message does not come to an end.
  const std::vector<int> passed(30, stranger.fd());
  unsigned char header[] = {0, 0, 0};
  int result = 0;
  for (unsigned char& byte : header) {
    port::PassedRoom room;
    iovec piece{&byte, 1};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    port::attach_descriptors(message, room, std::span<const int>{passed});
    if (port::sys_sendmsg(stranger.fd(), &message, 0) != 1) result = 2;
  }
  if (!soon_read(stranger.fd())) result = 3;
  if (all_descriptors().size() + 20 < before) result = 4;  // the listener's own are few
  listener.close();
  acceptor.join();
  return result;
}

TEST(ListenerWithoutDescriptors, TakesNoneOfAClientThatHasNotShownTheKey) {
  EXPECT_EQ(in_child([] { return takes_no_descriptors_of_a_stranger(); }), 0);
}

}  // namespace
}  // namespace weft::test
