#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <utility>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/net/socket.hpp>
#include <weft/process/listener.hpp>

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

}  // namespace
}  // namespace weft::test
