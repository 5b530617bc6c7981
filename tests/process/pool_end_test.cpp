// How pools, their workers and what they were given come to an end, when somebody is in the way of it.
#include <weft/process/pool.hpp>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/process/process.hpp>
#include <weft/process/process_pool_executor.hpp>
#include <weft/thread/thread.hpp>

#include "process/process_kinds.hpp"

namespace weft::test {
namespace {

// ---- what was sent ---------------------------------------------------------------------------------------------------

struct Pipe {
  OwnedFd reader;
  OwnedFd writer;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw OSError{errno, "making a pipe"};
    reader.reset(ends[0]);
    writer.reset(ends[1]);
  }
  /// Nobody has the end for writing any more.
  [[nodiscard]] bool is_over() const {
    pollfd polled{reader.get(), POLLIN, 0};
    return ::poll(&polled, 1, 0) == 1 && (polled.revents & POLLHUP) != 0;
  }
};

int drop(OwnedFd) { return 1; }

TEST(PoolEnds, OfATaskCloseTheDescriptorsItWasGivenThoughItsFutureIsKept) {
  ProcessPoolExecutor pool{1};
  Pipe pipe;
  Future<int> future = pool.submit({.retries = 1}, drop, OwnedFd{std::move(pipe.writer)});
  EXPECT_EQ(future.result(), 1);
  EXPECT_TRUE(eventually([&] { return pipe.is_over(); }, 10s));
}

TEST(PoolEnds, OfACancelledTaskCloseTheDescriptorsItWasGivenThoughItsFutureIsKept) {
  for (const bool by_its_future : {true, false}) {
    Gate gate;
    ProcessPoolExecutor pool{1};
    Future<int> first = pool.submit(pass_then_pid, gate.entrance());
    EXPECT_TRUE(eventually([&] { return first.running(); }));
    Pipe pipe;
    Future<int> future = pool.submit(drop, OwnedFd{std::move(pipe.writer)});
    if (by_its_future) {
      EXPECT_TRUE(future.cancel());
    } else {
      pool.shutdown({.wait = false, .cancel_pending = true});
    }
    EXPECT_TRUE(pipe.is_over());
    gate.open();
  }
}

}  // namespace
}  // namespace weft::test
