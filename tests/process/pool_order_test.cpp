// In which order tasks begin, and which worker is to have them.
#include <weft/process/process_pool_executor.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include <sys/resource.h>

#include <gtest/gtest.h>

#include "process/process_kinds.hpp"
#include "support/in_child.hpp"

namespace weft::test {
namespace {

template <class Place>
class PoolOrder : public testing::Test {};
TYPED_TEST_SUITE(PoolOrder, Places);

int nap(int number) {
  ::usleep(300);
  return number;
}

// A stream that never ends keeps the other worker busy all the time: nothing that came early may be left with the one at the long task.
TYPED_TEST(PoolOrder, NothingWaitsBehindALongTaskWhileLaterOnesAreDone) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{{.max_workers = 2, .min_workers = 2}};
    EXPECT_TRUE(eventually([&] { return pool.workers() == 2; }));
    for (int i = 0; i < 100; ++i) (void)pool.submit(twice, i).get();  // short ones: much is given ahead
    Gate gate;
    Future<int> held = pool.submit(pass_then_pid, gate.entrance());
    std::vector<Future<int>> early;
    for (int i = 0; i < 20; ++i) early.push_back(pool.submit(nap, i));
    std::deque<Future<int>> stream;
    for (int i = 0; i < 500; ++i) {
      stream.push_back(pool.submit(nap, i));
      if (stream.size() < 40) continue;
      stream.front().wait();
      stream.pop_front();
    }
    int undone = 0;
    for (const Future<int>& one : early) undone += !one.done();
    EXPECT_EQ(undone, 0);
    EXPECT_FALSE(held.done());
    gate.open();
  });
}

TYPED_TEST(PoolOrder, ATaskThatHasToBeBegunAgainComesBeforeThoseThatCameLater) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{1};
    Tally tally;
    Gate gate;
    const auto die_once = [](OwnedFd share, OwnedFd entrance) {
      pass(entrance);
      Tally::add(share);
      if (::lseek(share.get(), 0, SEEK_END) == 1) ::raise(SIGKILL);
      return static_cast<int>(::lseek(share.get(), 0, SEEK_END));
    };
    Future<int> again = pool.submit({.retries = 1}, die_once, tally.share(), gate.entrance());
    std::vector<Future<int>> later;
    for (int i = 0; i < 5; ++i) {
      later.push_back(pool.submit(
          [](OwnedFd share) {
            Tally::add(share);
            return 0;
          },
          tally.share()));
    }
    gate.open();
    EXPECT_EQ(again.get(), 2) << "others were done before it";
  });
}

// ---- workers that are of no use any more ------------------------------------------------------------------------------

int close_everything(int) {
  ::close_range(3, ~0U, 0);
  return 1;
}
std::size_t size_of_text(const std::string& text) { return text.size(); }

TYPED_TEST(PoolOrder, AWorkerWhoseTaskClosedItsDescriptorsIsReplaced) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{1};
    EXPECT_EQ(pool.submit(close_everything, 0).get_for(10s), 1);
    EXPECT_EQ(pool.submit(size_of_text, std::string(1 << 20, 'x')).get_for(10s), std::size_t{1} << 20);
    std::atomic<int> called{0};
    pool.submit(close_everything, 0).add_done_callback([&](Future<int>& done) { called = done.result(); });
    EXPECT_TRUE(eventually([&] { return called == 1; }, 10s));
  });
}

/// All of weft's memory that is open in the worker.
std::size_t cut_what_came(const std::string& text) {
  for (int fd = 3; fd < 200; ++fd) {
    char what[32] = {};
    (void)::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), what, sizeof what - 1);
    if (std::string_view{what}.starts_with("/memfd:weft-")) (void)::ftruncate(fd, 0);
  }
  return text.size();
}

TYPED_TEST(PoolOrder, ATaskCannotCutTheMemoryOfLargeValuesUnderThePool) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{1};
    for (int i = 0; i < 3; ++i) EXPECT_EQ(pool.submit(cut_what_came, std::string(1 << 20, 'x')).get_for(10s), std::size_t{1} << 20);
  });
}

// Longer than it takes to try five times.
TEST(PoolOrderWithoutPlace, AScarcityOfDescriptorsThatPassesBreaksNoPool) {
  const int code = in_child([] {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
    limit.rlim_cur = 200;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 3;
    if (process::get_start_method() == StartMethod::Forkserver) process::start_forkserver();
    ProcessPoolExecutor pool{1};
    std::vector<OwnedFd> all;
    for (int fd = 0; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) all.emplace_back(fd);
    Future<int> future = pool.submit(twice, 4);
    if (future.wait_for(400ms)) return 4;
    all.clear();
    return future.get_for(10s).value_or(5);
  });
  EXPECT_EQ(code, 8);
}

TEST(PoolOrderWithoutPlace, OfManyDeadlyTasksWorkersAreStartedMoreSlowly) {
  ProcessPoolExecutor pool{1};
  std::vector<Future<int>> futures;
  for (int i = 0; i < 30; ++i) futures.push_back(pool.submit([](int) -> int { ::_exit(3); }, i));
  const auto begin = std::chrono::steady_clock::now();
  for (auto& future : futures) EXPECT_THROW((void)future.get(), WorkerDied);
  // After sixteen in a row: 5, 10, 20, 40, 80, and then 160 ms each.
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 155ms + 8 * 160ms);
  EXPECT_EQ(pool.submit(twice, 2).get_for(10s), 4) << "it is no broken pool";
}

}  // namespace
}  // namespace weft::test
