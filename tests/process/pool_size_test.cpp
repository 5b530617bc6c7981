// Pools that grow when there is work for more workers, and shrink when there is none.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <deque>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <weft/process/pool.hpp>
#include <weft/process/process_pool_executor.hpp>
#include <weft/thread/thread.hpp>

#include "process/children.hpp"
#include "process/process_kinds.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

class PoolSize : public testing::TestWithParam<StartMethod> {};
INSTANTIATE_TEST_SUITE_P(Methods, PoolSize, kAllMethods, name_of_method);

/// Holds up tasks that carry no descriptors, so that they wait in workers' rings, one behind the other.
class FarGate {
 public:
  [[nodiscard]] std::string path() const { return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(entrance_.get()); }
  void open() { gate_.open(); }

 private:
  Gate gate_;
  OwnedFd entrance_ = gate_.entrance();
};
int pass_far_gate(const std::string& path) {
  pass(OwnedFd{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)});
  return ::getpid();
}

template <class Pool>
[[nodiscard]] bool comes_to(const Pool& pool, std::size_t workers) {
  return eventually([&] { return pool.workers() == workers; });
}

// ---- growing, and shrinking ------------------------------------------------------------------------------------------

TEST_P(PoolSize, GrowsUnderLoadToItsMostAndShrinksToItsLeast) {
  ProcessPoolExecutor pool{{.max_workers = 4, .min_workers = 1, .idle_timeout = 20ms, .start_method = GetParam()}};
  EXPECT_TRUE(comes_to(pool, 1)) << "without any work";
  for (int round = 0; round < 2; ++round) {
    FarGate gate;
    std::vector<Future<int>> futures;
    for (int i = 0; i < 9; ++i) futures.push_back(pool.submit(pass_far_gate, gate.path()));
    EXPECT_TRUE(eventually([&] {
      return std::count_if(futures.begin(), futures.end(), [](const Future<int>& future) { return future.running(); }) == 4;
    }));
    EXPECT_EQ(pool.workers(), 4U);
    gate.open();
    std::set<int> pids;
    for (Future<int>& future : futures) pids.insert(future.get());
    EXPECT_EQ(pids.size(), 4U);
    EXPECT_TRUE(comes_to(pool, 1));
    const std::vector<int> left = pool.pids();
    ASSERT_EQ(left.size(), 1U);
    for (int pid : pids) EXPECT_TRUE(pid == left.front() || is_gone(pid)) << "and buried";
    EXPECT_EQ(pool.submit(own_pid).get(), left.front());
  }
}

TEST_P(PoolSize, WithALeastOfNoneNothingRunsWhileThereIsNoWork) {
  ProcessPoolExecutor pool{{.max_workers = 2, .idle_timeout = 10ms, .start_method = GetParam()}};
  EXPECT_EQ(pool.workers(), 0U);
  std::set<int> pids;
  for (int round = 0; round < 3; ++round) {
    pids.insert(pool.submit(own_pid).get());
    EXPECT_TRUE(comes_to(pool, 0));
    EXPECT_TRUE(pool.pids().empty());
    for (int pid : pids) EXPECT_TRUE(is_gone(pid));
  }
}

TEST_P(PoolSize, ABurstOfSmallTasksDoesNotStartAllWorkers) {
  ProcessPoolExecutor pool{{.max_workers = 16, .start_method = GetParam()}};
  std::vector<Future<int>> futures;
  for (int i = 0; i < 300; ++i) futures.push_back(pool.submit(twice, i));
  futures.front().wait();
  EXPECT_LT(pool.workers(), 16U) << "one, and a few more if it got no processor for long";
  for (int i = 0; i < 300; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), 2 * i);
}

TEST_P(PoolSize, APoolHasItsLeastFromTheStartAndAllWorkersUnlessToldOtherwise) {
  process::Pool elastic{{.processes = 3, .min_processes = 2, .idle_timeout = 10ms, .start_method = GetParam()}};
  process::Pool usual{{.processes = 2, .idle_timeout = 1ms, .start_method = GetParam()}};
  EXPECT_TRUE(comes_to(elastic, 2));
  EXPECT_TRUE(comes_to(usual, 2));
  const std::vector<int> pids = usual.pids();
  {
    Gate gate;
    std::vector<Future<int>> futures;
    for (int i = 0; i < 3; ++i) futures.push_back(elastic.apply_async(pass_then_pid, gate.entrance()));
    EXPECT_TRUE(comes_to(elastic, 3));
    gate.open();
    for (Future<int>& future : futures) future.wait();
  }
  EXPECT_TRUE(comes_to(elastic, 2)) << "which is many times the patience of the other";
  EXPECT_EQ(usual.pids(), pids);
  elastic.close();
  elastic.join();
  EXPECT_EQ(elastic.workers(), 0U);
}

TEST(PoolSizes, AWorkerThatIsBusyIsNotIdle) {
  ProcessPoolExecutor pool{{.max_workers = 2, .idle_timeout = 1ms}};
  Gate gate;
  Future<int> busy = pool.submit(pass_then_pid, gate.entrance());
  Future<int> other = pool.submit(own_pid);
  const int pid = other.get();
  EXPECT_TRUE(eventually([&] { return is_gone(pid); })) << "the other one";
  EXPECT_TRUE(eventually([&] { return busy.running(); }));
  gate.open();
  EXPECT_NE(busy.get(), pid);
  EXPECT_TRUE(comes_to(pool, 0));
}

TEST(PoolSizes, WithoutATimeEveryoneStays) {
  ProcessPoolExecutor pool{{.max_workers = 3}};
  ProcessPoolExecutor beside{{.max_workers = 1, .idle_timeout = 30ms}};
  Gate gate;
  std::vector<Future<int>> futures;
  for (int i = 0; i < 3; ++i) futures.push_back(pool.submit(pass_then_pid, gate.entrance()));
  EXPECT_TRUE(comes_to(pool, 3));
  gate.open();
  for (Future<int>& future : futures) future.wait();
  const std::vector<int> pids = pool.pids();
  (void)beside.submit(own_pid).get();
  EXPECT_TRUE(comes_to(beside, 0));
  EXPECT_EQ(pool.pids(), pids);
}

TEST(PoolSizes, WorkersThatAreLongInTheirInitializerDoNotHoldUpEachOther) {
  Gate gate;
  const OwnedFd entrance = gate.entrance();
  const std::string path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(entrance.get());
  ProcessPoolExecutor pool{{.max_workers = 3, .initializer = {pass_far_gate, path}}};
  std::vector<Future<int>> futures;
  for (int i = 0; i < 3; ++i) futures.push_back(pool.submit(twice, i));
  EXPECT_TRUE(comes_to(pool, 3));
  EXPECT_FALSE(futures[0].done());
  gate.open();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), 2 * i);
}

TEST(PoolSizes, TheMinimumIsNotAboveTheMaximum) {
  try {
    const ProcessPoolExecutor pool{{.max_workers = 2, .min_workers = 3}};
    ADD_FAILURE();
  } catch (const InvalidStateError& error) {
    EXPECT_NE(std::string{error.what()}.find("at least 3 and at most 2"), std::string::npos) << error.what();
  }
  EXPECT_THROW((process::Pool{{.processes = 2, .min_processes = 3}}), InvalidStateError);
  ProcessPoolExecutor pool{{.min_workers = 1}};
  EXPECT_TRUE(comes_to(pool, 1));
}

// ---- together with the other ways to end ------------------------------------------------------------------------------

TEST_P(PoolSize, TheLeastIsKeptThroughDeaths) {
  ProcessPoolExecutor pool{{.max_workers = 3, .min_workers = 2, .idle_timeout = 5ms, .start_method = GetParam()}};
  EXPECT_TRUE(comes_to(pool, 2));
  for (int i = 0; i < 3; ++i) {
    const std::vector<int> pids = pool.pids();
    ASSERT_EQ(pids.size(), 2U);
    ::kill(pids.front(), SIGKILL);
    EXPECT_TRUE(eventually([&] {
      const std::vector<int> now = pool.pids();
      return now.size() == 2 && std::find(now.begin(), now.end(), pids.front()) == now.end();
    }));
    EXPECT_EQ(pool.submit(twice, 4).get(), 8);
  }
}

TEST_P(PoolSize, WorkersOfOneTaskEachAreReplacedOnlyWhileThereIsWork) {
  ProcessPoolExecutor pool{{.max_workers = 2, .idle_timeout = 10ms, .start_method = GetParam(), .max_tasks_per_child = 1}};
  std::vector<Future<int>> futures;
  for (int i = 0; i < 8; ++i) futures.push_back(pool.submit(own_pid));
  std::set<int> pids;
  for (Future<int>& future : futures) pids.insert(future.get());
  EXPECT_EQ(pids.size(), 8U);
  EXPECT_TRUE(comes_to(pool, 0));
}

TEST(PoolSizes, ATaskThatExceedsItsLimitTakesItsWorkerAndNoOther) {
  ProcessPoolExecutor pool{{.max_workers = 2, .min_workers = 1, .idle_timeout = 5ms}};
  Gate gate;
  Future<int> overdue = pool.submit({.timeout = 20ms}, pass_then_pid, gate.entrance());
  EXPECT_THROW((void)overdue.get(), TimeoutError);
  EXPECT_EQ(pool.submit(twice, 3).get(), 6);
  EXPECT_TRUE(eventually([&] { return pool.workers() == 1; }));
}

TEST_P(PoolSize, EndsWellWhileItsWorkersGo) {
  for (int round = 0; round < (GetParam() == StartMethod::Spawn ? 5 : 20); ++round) {
    std::vector<int> pids;
    std::vector<Future<int>> futures;
    {
      ProcessPoolExecutor pool{{.max_workers = 3, .idle_timeout = 1ns, .start_method = GetParam()}};
      for (int i = 0; i < 10; ++i) futures.push_back(pool.submit(twice, i));
      futures.front().wait();
      pids = pool.pids();
      if (round % 2 != 0) pool.terminate();
    }
    for (int pid : pids) EXPECT_TRUE(is_gone(pid));
    for (int i = 0; i < 10; ++i) {
      Future<int>& future = futures[static_cast<std::size_t>(i)];
      ASSERT_TRUE(future.done());
      if (round % 2 != 0) continue;
      EXPECT_EQ(future.get(), 2 * i);
    }
  }
}

int leave_a_thread_behind() {
  Thread{[] {
    for (;;) ::pause();
  }}.start();
  return ::getpid();
}

TEST(PoolSizes, AWorkerThatDoesNotEndIsEndedAndReplaced) {
  ProcessPoolExecutor pool{{.max_workers = 1, .max_tasks_per_child = 1}};
  const int pid = pool.submit(leave_a_thread_behind).get();
  EXPECT_EQ(pool.submit(twice, 2).get_for(kPatience), 4);
  EXPECT_TRUE(is_gone(pid));
}

// ---- at random --------------------------------------------------------------------------------------------------------

constexpr std::size_t kMarks = std::size_t{1} << 22;
std::atomic<unsigned char>* marks = nullptr;  // how often each task was begun

void map_marks(const OwnedFd& memory) {
  marks = static_cast<std::atomic<unsigned char>*>(::mmap(nullptr, kMarks, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0));
}
long mark(long number) {
  marks[number].fetch_add(1);
  return number * 3;
}

/// Kills workers of the pool, one now and then, as long as it lives; but none before work was done since the last, as workers that die again
/// and again before they do anything break a pool, as they should.
class Killer {
 public:
  explicit Killer(const ProcessPoolExecutor& pool) : thread_{[this, &pool] { run(pool); }} {}
  Killer(const Killer&) = delete;
  Killer& operator=(const Killer&) = delete;
  ~Killer() {
    over_ = true;
    thread_.join();
  }
  std::atomic<long> replies{0};

 private:
  void run(const ProcessPoolExecutor& pool) {
    Random random{static_cast<std::uint64_t>(::getpid())};
    for (long before = -1; !over_;) {
      std::this_thread::sleep_for(std::chrono::microseconds{random.below(6000)});
      const std::vector<int> pids = pool.pids();
      if (pids.empty() || replies == before) continue;
      before = replies;
      ::kill(pids[random.below(static_cast<std::uint32_t>(pids.size()))], SIGKILL);
    }
  }

  std::atomic<bool> over_{false};
  std::thread thread_;
};

void come_and_go(StartMethod method, bool with_kills) {
  const OwnedFd memory{::memfd_create("marks", MFD_CLOEXEC)};
  ASSERT_EQ(::ftruncate(memory.get(), kMarks), 0);
  map_marks(memory);
  long submitted = 0;
  long deaths = 0;
  std::set<int> pids;
  {
    // Everyone goes at the first look that finds him idle.
    ProcessPoolExecutor pool{{.max_workers = 3,
                              .idle_timeout = 1ns,
                              .start_method = method,
                              .initializer = {map_marks, OwnedFd::duplicate(memory.get())}}};
    std::optional<Killer> killer;
    if (with_kills) killer.emplace(pool);
    Random random{7};
    const Deadline end = Deadline::after(stressing() ? 20s : 700ms);
    while ((!end.has_passed() || pids.size() < 3) && submitted < static_cast<long>(kMarks) - 100 && !testing::Test::HasFailure()) {
      std::vector<std::pair<long, Future<long>>> burst;
      for (std::uint32_t i = 1 + random.below(random.below(4) == 0 ? 60 : 3); i != 0; --i, ++submitted) {
        burst.emplace_back(submitted, pool.submit(mark, submitted));
      }
      for (auto& [number, future] : burst) {
        try {
          const std::optional<long> result = future.get_for(kPatience);
          ASSERT_TRUE(result) << "a hang";
          EXPECT_EQ(*result, number * 3);
          EXPECT_EQ(marks[number], 1);
          if (killer) ++killer->replies;
        } catch (const WorkerDied& died) {
          EXPECT_TRUE(with_kills) << died.what();
          EXPECT_LE(marks[number], 1);
          ++deaths;
        }
      }
      for (int pid : pool.pids()) pids.insert(pid);
      sleep_for(std::chrono::microseconds{random.below(3000)});
    }
  }
  for (long i = 0; i < submitted; ++i) {
    if (marks[i] > 1) ADD_FAILURE() << "task " << i << " was done " << int{marks[i]} << " times";
  }
  std::printf("%ld tasks, at least %zu workers, %ld tasks died with theirs\n", submitted, pids.size(), deaths);
  ::munmap(marks, kMarks);
}

TEST_P(PoolSize, NoTaskIsLostOrDoneTwiceWhileWorkersComeAndGo) { come_and_go(GetParam(), false); }
TEST_P(PoolSize, NoTaskIsLostOrDoneTwiceWhileWorkersComeGoAndAreKilled) { come_and_go(GetParam(), true); }

}  // namespace
}  // namespace weft::test
