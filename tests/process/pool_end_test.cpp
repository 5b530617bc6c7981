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

// ---- callbacks -------------------------------------------------------------------------------------------------------

/// A pool with a task that runs, held up by the gate, and one that waits, whose callback waits for the end of the pool.
struct Endings {
  Gate gate;
  ProcessPoolExecutor pool{1};
  Future<int> running = pool.submit(pass_then_pid, gate.entrance());
  Future<int> waiting;
  std::atomic<bool> called_back{false};
  std::atomic<bool> closed{false};

  Endings() {
    EXPECT_TRUE(eventually([&] { return running.running(); }));
    waiting = pool.submit(twice, 1);
    waiting.add_done_callback([this](const auto&) {
      pool.shutdown();
      called_back = true;
    });
  }
};

/// `close`: calls off what waits, without waiting for what runs.
template <class Close>
void expect_no_standstill(Close close) {
  auto it = std::make_unique<Endings>();
  std::thread closer{[&it = *it, close] {
    close(it.pool);
    it.closed = true;
  }};
  if (!eventually([&] { return it->called_back && it->closed; }, 10s)) {
    ADD_FAILURE() << "the callback waits for the end of the pool, and the pool for the callback's";
    closer.detach();
    (void)it.release();
    return;
  }
  closer.join();
  EXPECT_TRUE(it->waiting.cancelled());
  it->gate.open();
}

TEST(PoolEnds, ACallbackOfWhatIsCalledOffMayWaitForTheEnd) {
  expect_no_standstill([](ProcessPoolExecutor& pool) { pool.shutdown({.wait = false, .cancel_pending = true}); });
}

TEST(PoolEnds, ACallbackOfWhatIsTerminatedMayWaitForTheEnd) {
  expect_no_standstill([](ProcessPoolExecutor& pool) { pool.terminate(); });
}

// ---- workers that do not end -----------------------------------------------------------------------------------------

[[noreturn]] void stay() {
  for (;;) ::pause();
}

void leave_a_thread_and_throw() {
  Thread{stay}.start();
  throw Unlucky{"no data base"};
}

TEST(PoolEnds, AnInitializerThatThrowsBreaksThePoolThoughItsThreadStays) {
  ProcessPoolExecutor pool{{.max_workers = 1, .initializer = leave_a_thread_and_throw}};
  Future<int> future = pool.submit(twice, 1);
  try {
    (void)future.get_for(20s).value();
    ADD_FAILURE() << "it was done";
  } catch (const BrokenExecutor& error) {
    EXPECT_NE(std::string{error.what()}.find("no data base"), std::string::npos) << error.what();
  }
  for (int pid : pool.pids()) ::kill(pid, SIGKILL);  // instead of waiting until the pool does it
}

int leave_a_thread() {
  Thread{stay}.start();
  return ::getpid();
}

TEST(PoolEnds, AWorkerThatHasDoneItsTasksIsReplacedThoughAThreadOfOneStays) {
  ProcessPoolExecutor pool{{.max_workers = 1, .max_tasks_per_child = 1}};
  const int first = pool.submit(leave_a_thread).get();
  EXPECT_NE(pool.submit(own_pid).get_for(kPatience), first);
  EXPECT_TRUE(eventually([&] { return is_gone(first); }));
}

// Of a worker as of any child: whoever asks for them gets a handle.
TEST(PoolEnds, HandlesOfWorkersMayBeClosed) {
  for (int i = 0; i < 20; ++i) {
    process::Pool pool{1};
    const int pid = pool.apply(own_pid);
    for (Process& child : process::active_children()) {
      if (child.pid() != pid) continue;
      child.kill();
      child.join();
      child.close();
    }
    EXPECT_NE(pool.apply(own_pid), pid);
  }
}

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
  if (process::get_start_method() == StartMethod::Fork) GTEST_SKIP() << "a worker by fork has all that is open here, too";
  ProcessPoolExecutor pool{1};
  Pipe pipe;
  Future<int> future = pool.submit({.retries = 1}, drop, OwnedFd{std::move(pipe.writer)});
  EXPECT_EQ(future.result(), 1);
  EXPECT_TRUE(eventually([&] { return pipe.is_over(); }, 10s));
}

TEST(PoolEnds, OfATaskHaveNoneOfWhatWasMovedIntoIt) {
  if (process::get_start_method() == StartMethod::Fork) GTEST_SKIP() << "a worker by fork has all that is open here, too";
  ProcessPoolExecutor executor{1};
  process::Pool pool{1};
  for (const bool by_executor : {true, false}) {
    Pipe pipe;
    OwnedFd writer{std::move(pipe.writer)};
    EXPECT_EQ((by_executor ? executor.submit(drop, std::move(writer)) : pool.apply_async(drop, std::move(writer))).get(), 1);
    EXPECT_FALSE(writer);
    EXPECT_TRUE(eventually([&] { return pipe.is_over(); }, 10s));
  }
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

// ---- limits ----------------------------------------------------------------------------------------------------------

TEST(PoolEnds, TheLongestLimitThereIsEndsNothing) {
  Gate gate;
  ProcessPoolExecutor pool{1};
  Future<int> future = pool.submit({.timeout = std::chrono::nanoseconds::max()}, pass_then_pid, gate.entrance());
  EXPECT_TRUE(eventually([&] { return future.running() || future.done(); }));
  EXPECT_FALSE(future.wait_for(50ms));
  gate.open();
  EXPECT_TRUE(future.get_for(kPatience));
}

}  // namespace
}  // namespace weft::test
