// A worker that is killed at any instruction between its waking up for tasks and its falling asleep after them: the one it was at may
// fail, no other does, and none is done twice.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/process/process_pool_executor.hpp>

#include "process/stepped_child.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

constexpr int kTasks = 4;

/// How often each task was begun. Workers by fork have it, too.
std::atomic<int>* begun = nullptr;

// The result goes in a slot of the ring, or is longer than that.
std::string work(int number) {
  ++begun[number];
  return std::string(number % 2 == 0 ? 1 : 700, static_cast<char>('a' + number));
}

class PoolDeathAtAnyInstruction : public testing::Test {
 protected:
  void SetUp() override {
    if (under_thread_sanitizer()) GTEST_SKIP() << "ThreadSanitizer's own code would be led through, too";
    void* const memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    begun = static_cast<std::atomic<int>*>(memory);
  }
  void TearDown() override { ::munmap(begun, 4096); }

  /// Leads a worker so far; how far it got. Nothing: this machine allows no tracing.
  static std::optional<int> round(int most) {
    ProcessPoolExecutor pool{{.max_workers = 1, .start_method = weft::fork}};
    for (int i = 0; i < kTasks; ++i) (void)pool.submit(work, i).get();
    const int pid = pool.pids().at(0);
    EXPECT_TRUE(SteppedChild::soon_sleeps(pid));
    std::fill_n(begun, kTasks, 0);

    std::vector<Future<std::string>> futures;
    int steps = 0;
    {
      SteppedChild worker{pid};
      if (worker.state() == SteppedChild::State::NotAllowed) return std::nullopt;
      for (int i = 0; i < kTasks; ++i) futures.push_back(pool.submit(work, i));
      steps = worker.step(most);
      worker.kill();
    }
    int deaths = 0;
    for (int i = 0; i < kTasks; ++i) {
      try {
        const std::optional<std::string> result = futures[static_cast<std::size_t>(i)].get_for(kPatience);
        EXPECT_TRUE(result) << "a hang";
        EXPECT_EQ(result.value_or("?").front(), 'a' + i);
        EXPECT_EQ(begun[i], 1) << "task " << i << " has a result";
      } catch (const WorkerDied& died) {
        EXPECT_EQ(died.signal(), SIGKILL);
        EXPECT_LE(begun[i], 1) << "task " << i << " died";
        ++deaths;
      }
    }
    EXPECT_LE(deaths, 1);
    EXPECT_EQ(pool.submit(work, 0).get(), "a");
    return steps;
  }
};

TEST_F(PoolDeathAtAnyInstruction, FailsNoTaskButTheOneItIsAtAndDoesNoneTwice) {
  const std::optional<int> length = round(SteppedChild::kMostSteps);
  if (!length) GTEST_SKIP() << "no tracing here";
  ASSERT_GT(*length, 1'000);
  ASSERT_LT(*length, SteppedChild::kMostSteps) << "it never sleeps";
  const int stride = std::max(1, *length / (stressing() ? 2'000 : 25));
  for (int steps = 0; steps < *length && !HasFailure(); steps += stride) {
    EXPECT_TRUE(round(steps));
    if (HasFailure()) ADD_FAILURE() << "killed after " << steps << " of " << *length << " instructions";
  }
}

}  // namespace
}  // namespace weft::test
