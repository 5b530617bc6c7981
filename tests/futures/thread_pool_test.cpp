#include <weft/futures/thread_pool_executor.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/thread/current_thread.hpp>
#include <weft/thread/thread.hpp>

#include "support/eventually.hpp"

namespace weft::test {
namespace {

TEST(ThreadPool, MakesThreadsAsTheyAreNeededAndUsesIdleOnesFirst) {
  ThreadPoolExecutor pool{8};
  EXPECT_EQ(pool.workers(), 0U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(pool.submit([] { return 1; }).get(), 1);
  EXPECT_EQ(pool.workers(), 1U);
  Event go;
  std::vector<Future<void>> futures;
  for (int i = 0; i < 3; ++i) futures.push_back(pool.submit([&] { go.wait(); }));
  EXPECT_EQ(pool.workers(), 3U);
  go.set();
  for (Future<void>& future : futures) future.get();
  EXPECT_EQ(pool.submit([] { return 2; }).get(), 2);
  EXPECT_EQ(pool.workers(), 3U);
}

TEST(ThreadPool, ALongCallbackDoesNotHoldUpTheNextJob) {
  Event go;
  Event in_callback;
  std::atomic<int> second_result{0};
  ThreadPoolExecutor pool{2};
  Future<void> first = pool.submit([&] { go.wait(); });
  first.add_done_callback([&](Future<void>&) {
    in_callback.set();
    second_result = pool.submit([] { return 7; }).get();
  });
  go.set();
  in_callback.wait();
  EXPECT_TRUE(eventually([&] { return second_result == 7; }));
}

TEST(ThreadPool, NamesItsThreads) {
  ThreadPoolExecutor pool{{.max_workers = 2, .name = "decoder"}};
  EXPECT_EQ(pool.submit([] { return current_thread().name(); }).get(), "decoder_0");
  EXPECT_TRUE(pool.submit([] { return current_thread().daemon(); }).get());
  ThreadPoolExecutor other{1};
  EXPECT_TRUE(other.submit([] { return current_thread().name(); }).get().starts_with("ThreadPoolExecutor-"));
}

TEST(ThreadPool, HasASensibleDefaultSize) {
  Event go;
  ThreadPoolExecutor pool;
  std::vector<Future<void>> futures;
  for (int i = 0; i < 50; ++i) futures.push_back(pool.submit([&] { go.wait(); }));
  EXPECT_GE(pool.workers(), 5U);
  EXPECT_LE(pool.workers(), 32U);
  go.set();
}

TEST(ThreadPool, RunsTheInitializerInEachThread) {
  std::atomic<int> initialized{0};
  thread_local int mine = 0;
  {
    ThreadPoolExecutor pool{{.max_workers = 3, .initializer = [&] {
                               mine = 1;
                               ++initialized;
                             }}};
    Event go;
    std::vector<Future<int>> futures;
    for (int i = 0; i < 3; ++i) {
      futures.push_back(pool.submit([&] {
        go.wait();
        return mine;
      }));
    }
    go.set();
    for (Future<int>& future : futures) EXPECT_EQ(future.get(), 1);
  }
  EXPECT_EQ(initialized, 3);
}

TEST(ThreadPool, AnInitializerThatThrowsBreaksIt) {
  ThreadPoolExecutor pool{{.max_workers = 1, .name = "doomed", .initializer = [] {
                             sleep_for(2ms);
                             throw std::runtime_error{"no licence"};
                           }}};
  Future<int> future = pool.submit([] { return 1; });
  try {
    (void)future.get();
    ADD_FAILURE() << "no BrokenExecutor";
  } catch (const BrokenExecutor& error) {
    EXPECT_NE(std::string{error.what()}.find("\"doomed\": its initializer threw: no licence"), std::string::npos) << error.what();
  }
  EXPECT_THROW((void)pool.submit([] { return 1; }), BrokenExecutor);
}

TEST(ThreadPool, AChildOfForkIsToldThatTheThreadsStayedBehind) {
  ThreadPoolExecutor pool{1};
  pool.submit([] {}).get();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    int code = 1;
    try {
      (void)pool.submit([] {});
    } catch (const BrokenExecutor&) {
      pool.shutdown();
      ThreadPoolExecutor fresh{1};
      code = fresh.submit([] { return 0; }).get();
    }
    ::_exit(code);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(ThreadPool, AResultWhoseDestructorWaitsDoesNotHoldUpTheNextJob) {
  struct Waits {
    ThreadPoolExecutor* pool;
    std::atomic<int>* got;
    Waits(ThreadPoolExecutor& in, std::atomic<int>& result) : pool{&in}, got{&result} {}
    Waits(Waits&& other) noexcept : pool{std::exchange(other.pool, nullptr)}, got{other.got} {}
    ~Waits() {
      if (pool) *got = pool->submit([] { return 7; }).get();
    }
  };
  std::atomic<int> got{0};
  Event dropped;
  ThreadPoolExecutor pool{2};
  (void)pool.submit([&] {
    dropped.wait();
    return Waits{pool, got};
  });
  dropped.set();
  EXPECT_TRUE(eventually([&] { return got == 7; }));
}

TEST(ThreadPool, AChildForkedByItsWorkDoesNotDoWhatWaits) {
  ThreadPoolExecutor pool{1};
  std::atomic<bool> in_line{false};
  auto forking = pool.submit([&] {
    (void)eventually([&] { return in_line.load(); });
    return ::fork();
  });
  auto waiting = pool.submit([parent = ::getpid()] {
    if (::getpid() != parent) ::_exit(3);
  });
  in_line = true;
  const pid_t child = forking.get();
  ASSERT_GT(child, 0);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 3) << status;
}

TEST(ThreadPool, OfWhichAThreadIsKilledIsBroken) {
  ThreadPoolExecutor pool{1};
  Thread thread = pool.submit([] { return current_thread(); }).get();
  thread.kill();
  thread.join();
  EXPECT_THROW((void)pool.submit([] {}), BrokenExecutor);
}

TEST(ThreadPool, ShutdownFromItsOwnWorkDoesNotWaitForItself) {
  ThreadPoolExecutor pool{2};
  EXPECT_EQ(pool.submit([&] {
                  pool.shutdown();
                  return 3;
                }).get(),
            3);
}

TEST(ThreadPool, ManyComeAndGo) {
  for (int round = 0; round < 50; ++round) {
    ThreadPoolExecutor pool{3};
    std::vector<Future<int>> futures;
    for (int i = 0; i < 10; ++i) futures.push_back(pool.submit([i] { return i; }));
    int sum = 0;
    for (Future<int>& future : futures) sum += future.get();
    EXPECT_EQ(sum, 45);
  }
}

}  // namespace
}  // namespace weft::test
