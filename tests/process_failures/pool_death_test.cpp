// Workers that die, in every way there is: nobody else is harmed, nothing is lost, nothing is done twice.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <weft/process/pool.hpp>
#include <weft/process/process_pool_executor.hpp>
#include <weft/thread/interrupt.hpp>

#include "port/sanitizer.hpp"
#include "process/process_kinds.hpp"
#include "support/fork.hpp"
#include "support/leaks.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

template <class Place>
class PoolDeath : public testing::Test {};
TYPED_TEST_SUITE(PoolDeath, Places);

int end_by(int signal) {
  ::kill(::getpid(), signal);
  return 0;
}
int end_with(int code) { std::exit(code); }
int end_at_once_with(int code) { ::_exit(code); }

// Frames that no compiler can fold.
[[gnu::noinline]] int deeper(int n) {
  volatile char frame[4096];
  frame[static_cast<std::size_t>(n) % sizeof frame] = static_cast<char>(n);
  if (n < 0) return 0;
  return deeper(n + 1) + frame[0];
}
int overflow_the_stack() { return deeper(0); }

WorkerDied death_of(Future<int>& future) {
  try {
    (void)future.get();
  } catch (const WorkerDied& died) {
    return died;
  }
  ADD_FAILURE() << "it lives";
  return WorkerDied{"", "", 0, 0, 0};
}

TYPED_TEST(PoolDeath, FailsItsTaskOnlyAndTellsWhichWorkerAndHow) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{{.max_workers = 1, .name = "frail"}};
    const int pid = pool.submit(own_pid).get();
    Future<int> killed = pool.submit(end_by, SIGKILL);
    std::vector<Future<int>> behind;
    for (int i = 0; i < 100; ++i) behind.push_back(pool.submit(twice, i));
    const WorkerDied died = death_of(killed);
    EXPECT_EQ(died.signal(), SIGKILL);
    EXPECT_EQ(died.pid(), pid);
    EXPECT_EQ(died.worker(), "frail_0");
    EXPECT_NE(died.task().find("end_by"), std::string::npos) << died.task();
    EXPECT_NE(std::string{died.what()}.find("signal 9 (Killed)"), std::string::npos) << died.what();
    for (int i = 0; i < 100; ++i) EXPECT_EQ(behind[static_cast<std::size_t>(i)].get(), 2 * i) << "given to its successor";
    EXPECT_NE(pool.submit(own_pid).get(), pid);
  });
}

TYPED_TEST(PoolDeath, ExitIsADeathToo) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{1};
    for (auto* how : {end_with, end_at_once_with}) {
      Future<int> future = pool.submit(how, 3);
      const WorkerDied died = death_of(future);
      EXPECT_EQ(died.signal(), 0);
      EXPECT_EQ(died.exit_code(), 3);
    }
    EXPECT_EQ(pool.submit(twice, 1).get(), 2);
  });
}

TYPED_TEST(PoolDeath, AStackThatOverflowsEndsItsWorkerOnly) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{1};
    Future<int> future = pool.submit(overflow_the_stack);
    const WorkerDied died = death_of(future);
    // A sanitizer reports it and exits.
    EXPECT_TRUE(died.signal() == SIGSEGV || died.signal() == SIGABRT || port::kSanitized) << died.what();
    EXPECT_EQ(pool.submit(twice, 1).get(), 2);
  });
}

TYPED_TEST(PoolDeath, AnIdleWorkerThatDiesIsReplaced) {
  TypeParam::run([] {
    process::Pool pool{2};
    EXPECT_TRUE(eventually([&] { return pool.workers() == 2; }));
    for (int i = 0; i < 3; ++i) {
      const std::vector<int> pids = pool.pids();
      ASSERT_FALSE(pids.empty());
      ::kill(pids.front(), SIGKILL);
      EXPECT_TRUE(eventually([&] {
        const std::vector<int> now = pool.pids();
        return now.size() == 2 && std::find(now.begin(), now.end(), pids.front()) == now.end();
      }));
      EXPECT_EQ(pool.apply(twice, 4), 8);
    }
  });
}

TYPED_TEST(PoolDeath, APoolsMapIsToldOfTheDeath) {
  TypeParam::run([] {
    process::Pool pool{2};
    EXPECT_THROW((void)pool.map([](int i) { return i == 5 ? end_by(SIGKILL) : i; }, std::views::iota(0, 10), 1), WorkerDied);
    EXPECT_EQ(pool.map(twice, std::views::iota(0, 3)), (std::vector<int>{0, 2, 4}));
  });
}

// ---- retries ---------------------------------------------------------------------------------------------------------

int die_until_the_third_time(OwnedFd tally) {
  Tally::add(tally);
  if (::lseek(tally.get(), 0, SEEK_END) < 3) ::_exit(1);
  return 7;
}
int die_each_time(OwnedFd tally) {
  Tally::add(tally);
  ::_exit(1);
}

TYPED_TEST(PoolDeath, OnlyTasksWithRetriesAreBegunAgain) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{2};
    Tally twice_in_vain;
    EXPECT_EQ(pool.submit({.retries = 2}, die_until_the_third_time, twice_in_vain.share()).get(), 7);
    EXPECT_EQ(twice_in_vain.count(), 3);
    Tally in_vain;
    EXPECT_THROW((void)pool.submit({.retries = 2}, die_each_time, in_vain.share()).get(), WorkerDied);
    EXPECT_EQ(in_vain.count(), 3);
    Tally once;
    EXPECT_THROW((void)pool.submit(die_each_time, once.share()).get(), WorkerDied);
    EXPECT_EQ(once.count(), 1);
  });
}

// ---- limits ----------------------------------------------------------------------------------------------------------

int never_end() {
  for (;;) ::pause();
}

TYPED_TEST(PoolDeath, ATaskThatExceedsItsLimitIsEndedWithItsWorker) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{2};
    Future<int> overdue = pool.submit({.timeout = 30ms}, never_end);
    std::vector<Future<int>> others;
    for (int i = 0; i < 50; ++i) others.push_back(pool.submit({.timeout = 60s}, twice, i));
    try {
      (void)overdue.get();
      ADD_FAILURE() << "it has ended";
    } catch (const TimeoutError& error) {
      EXPECT_NE(std::string{error.what()}.find("never_end"), std::string::npos) << error.what();
      EXPECT_NE(std::string{error.what()}.find("30 ms"), std::string::npos) << error.what();
    }
    for (int i = 0; i < 50; ++i) EXPECT_EQ(others[static_cast<std::size_t>(i)].get(), 2 * i);
  });
}

TEST(PoolLimits, TimeRunsFromWhenATaskBegins) {
  Gate gate;
  ProcessPoolExecutor pool{1};
  Future<int> before = pool.submit(pass_then_pid, gate.entrance());
  Future<int> limited = pool.submit({.timeout = 10s}, twice, 4);
  Future<int> short_one = pool.submit({.timeout = 20ms}, never_end);
  EXPECT_FALSE(short_one.wait_for(60ms)) << "it waits, and does not run";
  gate.open();
  EXPECT_EQ(limited.get(), 8);
  EXPECT_THROW((void)short_one.get(), TimeoutError);
}

// ---- those that cannot be helped -------------------------------------------------------------------------------------

void throw_in_initializer() { throw Unlucky{"no data base"}; }
void die_in_initializer() { ::_exit(4); }

TYPED_TEST(PoolDeath, AnInitializerThatThrowsBreaksThePoolWithTheCause) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{{.max_workers = 2, .initializer = throw_in_initializer}};
    Future<int> future;
    try {
      future = pool.submit(twice, 1);
      (void)future.get();
      ADD_FAILURE();
    } catch (const BrokenExecutor& error) {
      EXPECT_NE(std::string{error.what()}.find("no data base"), std::string::npos) << error.what();
    }
    EXPECT_THROW((void)pool.submit(twice, 1), BrokenExecutor);
  });
}

TYPED_TEST(PoolDeath, WorkersThatDieAgainAndAgainBreakThePoolWithTheCause) {
  TypeParam::run([] {
    const Stopwatch watch;
    process::Pool pool{{.processes = 2, .initializer = die_in_initializer}};
    try {
      (void)pool.apply(twice, 1);
      ADD_FAILURE();
    } catch (const BrokenExecutor& error) {
      EXPECT_NE(std::string{error.what()}.find("exited with code 4"), std::string::npos) << error.what();
    }
    EXPECT_TRUE(eventually([&] { return pool.workers() == 0; }));
    EXPECT_GE(watch.elapsed(), 200ms) << "each later than the last: 5, 10, 20, 40, 80 and 160 ms";
  });
}

/// A worker that is there, and another one than the last.
int next_worker(const ProcessPoolExecutor& pool, int last) {
  int pid = 0;
  EXPECT_TRUE(eventually([&] {
    const std::vector<int> pids = pool.pids();
    pid = pids.empty() ? last : pids.front();
    return pid != last;
  }));
  return pid;
}

// It tells nothing of the worker that somebody kills it: the pool tries on.
TYPED_TEST(PoolDeath, WorkersThatOthersKillAsTheyStartDoNotBreakThePool) {
  TypeParam::run([] {
    Gate gate;
    const OwnedFd entrance = gate.entrance();
    ProcessPoolExecutor pool{{.max_workers = 1, .initializer = {wait_at, path_of(entrance)}}};
    Future<int> future = pool.submit(twice, 4);
    int pid = 0;
    for (int i = 0; i < 9 && !testing::Test::HasFailure(); ++i) ::kill(pid = next_worker(pool, pid), SIGKILL);
    (void)next_worker(pool, pid);
    gate.open();
    EXPECT_EQ(future.get_for(kPatience), 8);
  });
}

TEST(PoolDeathWithoutEnd, OfWorkersThatOthersKillAsTheyStartBreaksThePoolAtLast) {
  if (!stressing()) GTEST_SKIP() << "ten seconds; for ./test --stress";
  Gate gate;
  const OwnedFd entrance = gate.entrance();
  ProcessPoolExecutor pool{{.max_workers = 1, .initializer = {wait_at, path_of(entrance)}}};
  Future<int> future = pool.submit(twice, 4);
  std::atomic<bool> over{false};
  std::thread killer{[&] {
    while (!over) {
      for (const int pid : pool.pids()) ::kill(pid, SIGKILL);
      std::this_thread::sleep_for(1ms);
    }
  }};
  EXPECT_THROW((void)future.get_for(kPatience), BrokenExecutor);
  over = true;
  killer.join();
}

// All at once are no row of failed attempts.
TYPED_TEST(PoolDeath, ManyIdleWorkersThatDieAtOnceDoNotBreakThePool) {
  TypeParam::run([] {
    process::Pool pool{20};
    EXPECT_TRUE(eventually([&] { return pool.workers() == 20; }));
    (void)pool.map(twice, std::views::iota(0, 20), 1);
    for (int pid : pool.pids()) ::kill(pid, SIGSEGV);
    for (int i = 0; i < 100; ++i) {
      try {
        EXPECT_EQ(pool.apply(twice, i), 2 * i);
      } catch (const WorkerDied&) {
        // One that had not come to die yet has begun it.
      }
    }
  });
}

// ---- at random -------------------------------------------------------------------------------------------------------

constexpr std::size_t kMarks = std::size_t{1} << 26;
std::atomic<unsigned char>* marks = nullptr;  // how often each task was begun

void map_marks(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  marks = static_cast<std::atomic<unsigned char>*>(::mmap(nullptr, kMarks, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  ::close(fd);
}
long mark(long number, std::string ballast) {
  marks[number].fetch_add(1);
  return number * 3 + static_cast<long>(ballast.size());
}

template <class Place>
class PoolDeathAtRandom : public testing::Test {};
TYPED_TEST_SUITE(PoolDeathAtRandom, Places);

TYPED_TEST(PoolDeathAtRandom, LosesNothingAndDoesNothingTwice) {
  const OwnedFd memory{::memfd_create("marks", MFD_CLOEXEC)};
  ASSERT_EQ(::ftruncate(memory.get(), kMarks), 0);
  const std::string path = path_of(memory);
  map_marks(path);
  TypeParam::run([&] {
    std::atomic<long> submitted{0};
    long deaths = 0;
    {
      ProcessPoolExecutor pool{{.max_workers = 3, .initializer = {map_marks, path}}};
      std::atomic<bool> over{false};
      std::atomic<long> collected{0};
      struct Killer {
        std::atomic<bool>& over;
        std::thread thread;
        ~Killer() {
          over = true;
          if (thread.joinable()) thread.join();
        }
      } killer{over, std::thread{[&] {
        Random random{static_cast<std::uint64_t>(::getpid())};
        long since = 0;
        int in_vain = 0;
        while (!over) {
          std::this_thread::sleep_for(std::chrono::microseconds{random.below(8000)});
          const std::vector<int> pids = pool.pids();
          if (pids.empty()) continue;
          ::kill(pids[random.below(static_cast<std::uint32_t>(pids.size()))], SIGKILL);
          // Where a worker takes longer to start than it is let live nothing would ever be done.
          in_vain = collected == std::exchange(since, collected.load()) ? in_vain + 1 : 0;
          if (in_vain < 12) continue;
          while (!over && collected == since) std::this_thread::sleep_for(200us);
        }
      }}};
      Random random{7};
      struct Sent {
        long number;
        std::size_t ballast;
        Future<long> future;
      };
      std::deque<Sent> on_their_way;
      const auto collect = [&] {
        Sent sent = std::move(on_their_way.front());
        on_their_way.pop_front();
        try {
          const std::optional<long> result = sent.future.get_for(kPatience);
          ASSERT_TRUE(result) << "a hang";
          EXPECT_EQ(*result, sent.number * 3 + static_cast<long>(sent.ballast));
          EXPECT_EQ(marks[sent.number], 1);
        } catch (const WorkerDied& died) {
          EXPECT_EQ(died.signal(), SIGKILL);
          EXPECT_LE(marks[sent.number], 1);
          ++deaths;
        }
        collected = sent.number + 1;
      };
      const Deadline end = Deadline::after(stressing() ? 60s : 1500ms);
      while (!end.has_passed() && submitted < static_cast<long>(kMarks) && !testing::Test::HasFailure()) {
        // Now and then one that does not fit a slot, or its area.
        const std::size_t ballast = random.below(50) == 0 ? random.below(100'000) : random.below(40);
        on_their_way.push_back({submitted, ballast, pool.submit(mark, submitted.load(), std::string(ballast, 'b'))});
        ++submitted;
        if (on_their_way.size() > 300) collect();
      }
      while (!on_their_way.empty() && !testing::Test::HasFailure()) collect();
    }
    EXPECT_GT(submitted, 100);
    for (long i = 0; i < submitted; ++i) {
      if (marks[i] > 1) ADD_FAILURE() << "task " << i << " was done " << int{marks[i]} << " times";
      marks[i] = 0;
    }
    std::printf("%ld tasks, %ld of them died with their worker\n", submitted.load(), deaths);
  });
  ::munmap(marks, kMarks);
}

// ---- the parent ------------------------------------------------------------------------------------------------------

/// In a process of its own: a pool whose workers never end, and whose pids are written to a pipe.
template <class Body>
std::vector<int> workers_of_a_parent(int& parent, Body body) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  parent = weft::test::forked();
  if (parent == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::setpgid(0, 0);
    {
      process::Pool pool{2};
      std::vector<Future<int>> futures;
      for (int i = 0; i < 2; ++i) futures.push_back(pool.apply_async(never_end));
      while (!futures[0].running() || !futures[1].running()) ::usleep(1000);
      for (int pid : pool.pids()) {
        if (::write(ends[1], &pid, sizeof pid) != sizeof pid) ::_exit(9);
      }
      ::close(ends[1]);
      body();
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::vector<int> pids;
  int pid = 0;
  // Not to the end of the pipe: workers by fork have it, too.
  while (pids.size() < 2 && ::read(ends[0], &pid, sizeof pid) == sizeof pid) pids.push_back(pid);
  ::close(ends[0]);
  return pids;
}

int wait_for(int pid) {
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status;
}

TEST(PoolsParent, WhoIsKilledLeavesNoOrphan) {
  int parent = 0;
  const std::vector<int> pids = workers_of_a_parent(parent, [] { never_end(); });
  EXPECT_EQ(pids.size(), 2U);
  // Nor memory: none of what they share has a name that would be left.
  for (const int pid : {parent, pids.at(0), pids.at(1)}) {
    std::ifstream maps{"/proc/" + std::to_string(pid) + "/maps"};
    const std::string text{std::istreambuf_iterator<char>{maps}, {}};
    EXPECT_NE(text.find("/memfd:weft-"), std::string::npos) << text;
    EXPECT_EQ(text.find("/dev/shm/"), std::string::npos) << text;
  }
  ::kill(parent, SIGKILL);
  (void)wait_for(parent);
  for (int pid : pids) EXPECT_TRUE(eventually([&] { return is_gone(pid); })) << pid;
}

TEST(PoolsParent, InterruptedFromTheTerminalLeavesNoProcess) {
  int parent = 0;
  const std::vector<int> pids = workers_of_a_parent(parent, [] { never_end(); });
  EXPECT_EQ(pids.size(), 2U);
  ::kill(-parent, SIGINT);  // all of its group, as Ctrl-C does
  const int status = wait_for(parent);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
  for (int pid : pids) EXPECT_TRUE(eventually([&] { return is_gone(pid); })) << pid;
}

TEST(PoolsParent, WhoHandlesTheInterruptFindsItsWorkersAlive) {
  int parent = 0;
  const std::vector<int> pids = workers_of_a_parent(parent, [] {
    try {
      const InterruptScope interrupts;
      process::Pool other{1};
      ::kill(0, SIGINT);
      (void)other.apply(never_end);
    } catch (const KeyboardInterrupt&) {
      process::Pool third{1};
      ::_exit(third.apply(twice, 21) == 42 ? 0 : 1);
    }
  });
  EXPECT_EQ(wait_for(parent), 0);
  for (int pid : pids) EXPECT_TRUE(eventually([&] { return is_gone(pid); })) << pid;
}

TEST(PoolsParent, WhoseDescriptorsRunOutGoesOnWithTheWorkersItHas) {
  const int child = weft::test::forked();
  if (child == 0) {
    int code = 1;
    try {
      process::Pool first{1};
      (void)first.apply(twice, 1);
      rlimit limit{};
      ::getrlimit(RLIMIT_NOFILE, &limit);
      limit.rlim_cur = static_cast<rlim_t>(count_descriptors()) + 12;
      ::setrlimit(RLIMIT_NOFILE, &limit);
      ProcessPoolExecutor pool{16};
      std::vector<Future<int>> futures;
      for (int i = 0; i < 200; ++i) futures.push_back(pool.submit(twice, i));
      long sum = 0;
      for (Future<int>& future : futures) sum += future.get_for(kPatience).value();
      code = sum == 200 * 199 ? 0 : 2;
    } catch (const BrokenExecutor& error) {
      std::fprintf(stderr, "%s\n", error.what());
      code = std::string{error.what()}.find("Too many open files") != std::string::npos ? 0 : 3;
    }
    ::_exit(code);
  }
  EXPECT_EQ(wait_for(child), 0);
}

}  // namespace
}  // namespace weft::test
