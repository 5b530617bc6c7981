#include <weft/process/pool.hpp>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <ranges>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/futures/as_completed.hpp>
#include <weft/process/process.hpp>
#include <weft/process/process_pool_executor.hpp>
#include <weft/process/queue.hpp>
#include <weft/sync/event.hpp>

#include "process/process_kinds.hpp"

namespace weft::test {
namespace {

template <class Place>
class ProcessPool : public testing::Test {};
TYPED_TEST_SUITE(ProcessPool, Places);

long square(long x) { return x * x; }
int add(int a, int b) { return a + b; }
long refuse_odd(long x) {
  if (x % 2 != 0) throw std::invalid_argument{"odd"};
  return x;
}

TYPED_TEST(ProcessPool, HasItsWorkersFromTheStartAndUsesThemAgain) {
  TypeParam::run([] {
    process::Pool pool{3};
    EXPECT_TRUE(eventually([&] { return pool.workers() == 3; }));
    const std::vector<int> pids = pool.pids();
    for (int i = 0; i < 30; ++i) {
      const int pid = pool.apply(own_pid);
      EXPECT_TRUE(std::find(pids.begin(), pids.end(), pid) != pids.end());
    }
  });
}

TYPED_TEST(ProcessPool, MapsInOrderWhateverTheChunks) {
  TypeParam::run([] {
    process::Pool pool{2};
    std::vector<long> numbers(1000);
    std::iota(numbers.begin(), numbers.end(), 0);
    std::vector<long> expected;
    for (long n : numbers) expected.push_back(n * n);
    for (std::size_t chunk : {0, 1, 7, 5000}) EXPECT_EQ(pool.map(square, numbers, chunk), expected);
    EXPECT_EQ(pool.map_async(square, numbers).get(), expected);
    EXPECT_EQ(pool.map([](const std::string& s) { return s + s; }, std::vector<std::string>{"a", "b"}),
              (std::vector<std::string>{"aa", "bb"}));
    EXPECT_TRUE(pool.map(square, std::vector<long>{}).empty());
    EXPECT_TRUE(pool.map_async(square, std::vector<long>{}).get().empty());
    EXPECT_EQ(pool.map(square, std::views::iota(0L, 6L) | std::views::filter([](long x) { return x % 2 == 0; })),
              (std::vector<long>{0, 4, 16}));
    const std::vector<std::pair<int, int>> pairs{{1, 2}, {3, 4}};
    EXPECT_EQ(pool.starmap(add, pairs), (std::vector<int>{3, 7}));
    EXPECT_EQ(pool.starmap_async([](int a, int b) { return a * b; }, pairs).get(), (std::vector<int>{2, 12}));
  });
}

TYPED_TEST(ProcessPool, MapsFunctionsThatReturnNothing) {
  TypeParam::run([] {
    process::Pool pool{2};
    const std::vector<std::pair<int, int>> pairs(20);
    process::Queue<int> queue;
    pool.map([](process::Queue<int> to) { to.put(1); }, std::vector<process::Queue<int>>(10, queue));
    EXPECT_EQ(queue.qsize(), 10U);
    pool.starmap([](int, int) {}, pairs, 3);
  });
}

TYPED_TEST(ProcessPool, EndsAMapAndAJoinAtTheirDeadlines) {
  TypeParam::run([] {
    Gate gate;
    process::Pool pool{1};
    Tally tally;
    auto held = pool.apply_async(pass_then_pid, gate.entrance());
    EXPECT_TRUE(eventually([&] { return held.running(); }));
    EXPECT_THROW((void)pool.map(square, std::vector<long>{1, 2, 3}, {.deadline = Deadline::after(20ms)}), TimeoutError);
    pool.close();
    EXPECT_FALSE(pool.join_for(20ms));
    gate.open();
    EXPECT_TRUE(pool.join_for(kPatience));
  });
}

TYPED_TEST(ProcessPool, TreatsTasksInTheirOwnWay) {
  TypeParam::run([] {
    Gate gate;
    process::Pool pool{1};
    EXPECT_THROW((void)pool.apply({.timeout = 30ms}, pass_then_pid, gate.entrance()), TimeoutError);
    Tally tally;
    const auto die_at_first = [](OwnedFd share) {
      Tally::add(share);
      if (::lseek(share.get(), 0, SEEK_END) == 1) ::raise(SIGKILL);
      return 5;
    };
    EXPECT_EQ(pool.apply_async({.retries = 1}, die_at_first, tally.share()).get(), 5);
  });
}

TEST(ProcessPoolSizes, ThatAreNegativeNumbersAreRefused) {
  EXPECT_THROW(process::Pool{static_cast<unsigned>(-1)}, std::invalid_argument);
  EXPECT_THROW(ProcessPoolExecutor{static_cast<unsigned>(-1)}, std::invalid_argument);
}

TEST(ProcessPoolTasks, OfAnExecutorMayStartProcessesAndThoseOfAPoolMayNot) {
  const auto start_one = [](int code) {
    Process child{fork, [code] { ::_exit(code); }};
    child.start();
    child.join();
    return *child.exitcode();
  };
  EXPECT_EQ(ProcessPoolExecutor{1}.submit(start_one, 6).get(), 6);
  EXPECT_THROW((void)process::Pool{1}.apply(start_one, 6), InvalidStateError);
}

TYPED_TEST(ProcessPool, ImapIsInOrderAndLazy) {
  TypeParam::run([] {
    process::Pool pool{2};
    int taken = 0;
    auto counted = std::views::iota(0L, 1000L) | std::views::transform([&](long x) {
                     ++taken;
                     return x;
                   });
    auto results = pool.imap(square, counted, {.look_ahead = 3});
    for (long i = 0; i < 10; ++i) EXPECT_EQ(results.next(), i * i);
    EXPECT_LE(taken, 13);
    long sum = 0;
    for (long x : pool.imap(square, std::vector<long>{1, 2, 3})) sum += x;
    EXPECT_EQ(sum, 14);
  });
}

TYPED_TEST(ProcessPool, ImapUnorderedGivesWhatIsThere) {
  TypeParam::run([] {
    process::Pool pool{2};
    std::multiset<long> seen;
    for (long x : pool.imap_unordered(square, std::views::iota(0L, 50L), {.chunk_size = 3})) seen.insert(x);
    EXPECT_EQ(seen.size(), 50U);
    EXPECT_EQ(*seen.rbegin(), 49 * 49);
  });
}

/// Waits until the file is gone, if one is named.
long pass_file(const std::pair<std::string, long>& element) {
  while (!element.first.empty() && ::access(element.first.c_str(), F_OK) == 0) ::usleep(200);
  return element.second;
}

TYPED_TEST(ProcessPool, ImapUnorderedDoesNotWaitForTheFirstAndTakesNoMoreThanItNeeds) {
  TypeParam::run([] {
    std::string path = testing::TempDir() + "weft-first-XXXXXX";
    const OwnedFd file{::mkstemp(path.data())};
    long taken = 0;
    auto elements = std::views::iota(0L, 1000L) | std::views::transform([&](long i) {
                      ++taken;
                      return std::pair{i == 0 ? path : std::string{}, i};
                    });
    process::Pool pool{2};
    auto results = pool.imap_unordered(pass_file, elements, {.look_ahead = 3});
    std::set<long> seen;
    for (int i = 0; i < 50; ++i) seen.insert(results.next().value());
    EXPECT_FALSE(seen.contains(0)) << "it cannot be done yet";
    EXPECT_LE(taken, 53);
    ::unlink(path.c_str());
    while (const std::optional<long> next = results.next()) seen.insert(*next);
    EXPECT_EQ(seen.size(), 1000U);
    taken = 0;
    auto usual = pool.imap(square, std::views::iota(0L, 1000L) | std::views::transform([&](long i) { return ++taken, i; }));
    EXPECT_EQ(usual.next(), 0);
    EXPECT_LE(taken, 1 + 4 * 2) << "four for each worker";
  });
}

TYPED_TEST(ProcessPool, ALateTaskDoesNotHoldUpTheOthers) {
  TypeParam::run([] {
    Gate gate;
    const auto wait_at_zero = [](const OwnedFd& entrance, int i) {
      if (i == 0) pass(entrance);
      return i;
    };
    process::Pool pool{2};
    std::vector<Future<int>> futures;
    for (int i = 0; i < 6; ++i) futures.push_back(pool.apply_async(wait_at_zero, gate.entrance(), i));
    std::vector<int> order;
    for (Future<int>& done : as_completed(futures, kPatience)) {
      order.push_back(done.get());
      if (order.size() == 5) gate.open();
    }
    EXPECT_EQ(order.back(), 0);
  });
}

TYPED_TEST(ProcessPool, CallbacksGetTheResultOrTheFailure) {
  TypeParam::run([] {
    process::Pool pool{2};
    std::atomic<long> sum{0};
    std::atomic<int> failures{0};
    Event both;
    const auto done = [&] {
      if (sum == 49 && failures == 1) both.set();
    };
    const auto watch = [&] {
      return process::Callbacks{[&](long n) {
                                  sum += n;
                                  done();
                                },
                                [&](const std::exception_ptr& why) {
                                  EXPECT_THROW(std::rethrow_exception(why), std::invalid_argument);
                                  ++failures;
                                  done();
                                }};
    };
    Future<long> good = pool.apply_async(watch(), square, 7L);
    Future<long> bad = pool.apply_async(watch(), refuse_odd, 3L);
    EXPECT_TRUE(both.wait_for(kPatience));
    EXPECT_EQ(good.get(), 49);
    EXPECT_THROW((void)bad.get(), std::invalid_argument);
    std::atomic<std::size_t> mapped{0};
    Event over;
    (void)pool.map_async(process::Callbacks{[&](const std::vector<long>& all) {
                           mapped = all.size();
                           over.set();
                         }},
                         square, std::vector<long>(100, 2));
    EXPECT_TRUE(over.wait_for(kPatience));
    EXPECT_EQ(mapped, 100U);
  });
}

TYPED_TEST(ProcessPool, AFailureInAMapIsThrownAndHarmsNobody) {
  TypeParam::run([] {
    process::Pool pool{2};
    const std::vector<long> numbers{0, 2, 3, 4};
    EXPECT_THROW((void)pool.map(refuse_odd, numbers), std::invalid_argument);
    EXPECT_THROW((void)pool.map_async(refuse_odd, numbers).get(), std::invalid_argument);
    auto results = pool.imap(refuse_odd, numbers);
    EXPECT_EQ(results.next(), 0);
    EXPECT_EQ(results.next(), 2);
    EXPECT_THROW((void)results.next(), std::invalid_argument);
    EXPECT_EQ(results.next(), 4);
    EXPECT_EQ(results.next(), std::nullopt);
  });
}

TYPED_TEST(ProcessPool, CloseRefusesWorkWithoutWaitingAndJoinWaits) {
  TypeParam::run([] {
    Gate gate;
    process::Pool pool{1};
    EXPECT_THROW(pool.join(), InvalidStateError);
    Future<int> running = pool.apply_async(pass_then_pid, gate.entrance());
    Future<int> waiting = pool.apply_async(twice, 3);
    pool.close();
    EXPECT_FALSE(running.done());
    EXPECT_THROW((void)pool.apply(twice, 1), ShutDown);
    gate.open();
    pool.join();
    EXPECT_TRUE(running.done());
    EXPECT_EQ(waiting.get(), 6) << "what was there is done";
    EXPECT_EQ(pool.workers(), 0U);
  });
}

TYPED_TEST(ProcessPool, TerminateAndTheDestructorEndWhatRuns) {
  TypeParam::run([] {
    Gate gate;
    std::vector<Future<int>> futures;
    std::vector<int> pids;
    {
      process::Pool pool{2};
      for (int i = 0; i < 4; ++i) futures.push_back(pool.apply_async(pass_then_pid, gate.entrance()));
      EXPECT_TRUE(eventually([&] { return futures[0].running() && futures[1].running(); }));
      pids = pool.pids();
    }
    for (Future<int>& future : futures) EXPECT_THROW((void)future.get(), CancelledError);
    for (int pid : pids) EXPECT_TRUE(is_gone(pid));
  });
}

}  // namespace
}  // namespace weft::test
