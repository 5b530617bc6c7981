// What users have given to be called when a task is done: in this process, one at a time, whenever it was given.
#include <weft/process/pool.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/futures/when.hpp>
#include <weft/io/blocking.hpp>
#include <weft/process/process_pool_executor.hpp>
#include <weft/process/queue.hpp>

#include "process/process_kinds.hpp"

namespace weft::test {
namespace {

template <class Place>
class PoolCallbacks : public testing::Test {};
TYPED_TEST_SUITE(PoolCallbacks, Places);

long square(long x) { return x * x; }

/// Counts calls, and how many of them there are at once; without atomic operations, so that ThreadSanitizer sees two of them.
struct Calls {
  int at_once = 0;
  int most = 0;
  int all = 0;
  void operator()() {
    most = std::max(most, ++at_once);
    std::this_thread::yield();
    --at_once;
    ++all;
  }
};

TYPED_TEST(PoolCallbacks, AreCalledOneAtATimeThoughTheyAreGivenWhenTheTaskIsDone) {
  Calls calls;
  TypeParam::run([&] {
    ProcessPoolExecutor pool{2};
    std::vector<Future<int>> futures;
    for (int i = 0; i < 400; ++i) {
      futures.push_back(pool.submit(twice, i));
      if (i % 2 == 0) futures.back().wait();
      futures.back().add_done_callback([&](Future<int>&) { calls(); });
    }
    pool.shutdown();
  });
  EXPECT_EQ(calls.all, 400);
  EXPECT_EQ(calls.most, 1);
}

TYPED_TEST(PoolCallbacks, AreCalledOneAtATimeForWhatIsCancelledToo) {
  Calls calls;
  TypeParam::run([&] {
    for (int round = 0; round < 20; ++round) {
      ProcessPoolExecutor pool{1};
      std::vector<Future<int>> futures;
      for (int i = 0; i < 30; ++i) {
        futures.push_back(pool.submit(twice, i));
        futures.back().add_done_callback([&](Future<int>&) { calls(); });
      }
      for (auto future = futures.rbegin(); future != futures.rend(); ++future) (void)future->cancel();
    }
  });
  EXPECT_EQ(calls.all, 600);
  EXPECT_EQ(calls.most, 1);
}

TYPED_TEST(PoolCallbacks, OfManyCallersAreCalledOneAtATime) {
  Calls calls;
  TypeParam::run([&] {
    process::Pool pool{2};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 3; ++caller) {
      callers.emplace_back([&] {
        for (int i = 0; i < 100; ++i) {
          (void)pool.apply_async(process::Callbacks{[&](int) { calls(); }}, twice, i);
          if (i % 10 == 0) (void)pool.map_async(process::Callbacks{[&](const std::vector<long>&) { calls(); }}, square, std::vector<long>{1, 2, 3}, 1).get();
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
    pool.close();
    pool.join();
  });
  EXPECT_EQ(calls.all, 330);
  EXPECT_EQ(calls.most, 1);
}

TYPED_TEST(PoolCallbacks, GivenWhenNothingElseIsCalledAreCalledAtOnce) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{1};
    Future<int> future = pool.submit(twice, 4);
    future.wait();
    int got = 0;
    future.add_done_callback([&](Future<int>& done) {
      got = done.result();
      done.add_done_callback([](Future<int>&) {});  // called later, as one is being called
    });
    EXPECT_EQ(got, 8);
  });
}

TYPED_TEST(PoolCallbacks, MayWaitForResultsThatArePutTogether) {
  TypeParam::run([] {
    process::Pool pool{2};
    std::atomic<long> sum{0};
    (void)pool.apply_async(process::Callbacks{[&](int) {
                             for (long n : pool.map_async(square, std::vector<long>{1, 2, 3}, 1).get()) sum += n;
                             const auto [one, other] = when_all(pool.apply_async(twice, 10), pool.apply_async(twice, 20)).get();
                             sum += one + other;
                           }},
                           twice, 1);
    EXPECT_TRUE(eventually([&] { return sum == 14 + 60; }, 10s)) << sum;
  });
}

TYPED_TEST(PoolCallbacks, OfAMapAreNotCalledForOneThatIsTerminated) {
  TypeParam::run([] {
    Gate gate;
    process::Pool pool{1};
    auto held = pool.apply_async(pass_then_pid, gate.entrance());
    EXPECT_TRUE(eventually([&] { return held.running(); }));
    std::atomic<int> calls{0};
    auto all = pool.map_async(process::Callbacks{[&](const std::vector<long>&) { ++calls; }, [&](const std::exception_ptr&) { ++calls; }}, square,
                              std::vector<long>{1, 2, 3}, 1);
    pool.terminate();
    EXPECT_TRUE(all.cancelled());
    EXPECT_THROW((void)all.get(), CancelledError);
    EXPECT_EQ(calls, 0);
  });
}

TYPED_TEST(PoolCallbacks, AMapOfWhichSomeIsDoneAndSomeRunsEndsWithItsPool) {
  TypeParam::run([] {
    process::Pool pool{1};
    // The first is done, the second runs, the third waits.
    const auto stay_at_second = [](process::Queue<int> begun) {
      begun.put(1);
      if (begun.qsize() == 2) ::pause();
      return 0;
    };
    process::Queue<int> begun;
    auto all = pool.map_async(stay_at_second, std::vector<process::Queue<int>>(3, begun), 1);
    EXPECT_TRUE(eventually([&] { return begun.qsize() == 2; }));
    pool.terminate();
    EXPECT_TRUE(all.wait_for(10s));
    EXPECT_THROW((void)all.get(), CancelledError);
  });
}

TYPED_TEST(PoolCallbacks, AreDroppedWhenTheyHaveBeenCalled) {
  TypeParam::run([] {
    process::Pool pool{1};
    const auto held = std::make_shared<int>(0);
    auto one = pool.apply_async(process::Callbacks{[held](int) {}}, twice, 1);
    auto other = pool.map_async(process::Callbacks{[held](std::vector<long>& all) { all.clear(); }}, square, std::vector<long>{1});
    one.wait();
    EXPECT_TRUE(other.get().empty()) << "they may change it";
    EXPECT_TRUE(eventually([&] { return held.use_count() == 1; }));
  });
}

TYPED_TEST(PoolCallbacks, AMapThatIsCancelledLeavesNoTaskBehind) {
  TypeParam::run([] {
    Gate gate;
    process::Pool pool{1};
    Tally tally;
    auto held = pool.apply_async(pass_then_pid, gate.entrance());
    EXPECT_TRUE(eventually([&] { return held.running(); }));
    std::vector<OwnedFd> shares;
    for (int i = 0; i < 3; ++i) shares.push_back(tally.share());
    auto moved = shares | std::views::transform([](OwnedFd& fd) { return std::move(fd); });
    auto all = pool.map_async(
        [](const OwnedFd& share) {
          Tally::add(share);
          return 0;
        },
        moved, 1);
    EXPECT_FALSE(all.running());
    EXPECT_TRUE(all.cancel());
    EXPECT_TRUE(all.cancelled());
    gate.open();
    pool.close();
    pool.join();
    EXPECT_EQ(tally.count(), 0);
  });
}

// The threads behind blocking() are not those that receive what is waited for there.
TEST(PoolCallbacksAndHelpers, ResultsArriveThoughEveryHelperWaitsForOne) {
  Runtime runtime{{.workers = 2}};
  runtime.run([] {
    ProcessPoolExecutor pool{1};
    Gate gate;
    std::vector<Fiber<std::size_t>> all;
    for (int i = 0; i < 70; ++i) {
      all.push_back(spawn([&] {
        return blocking([&] {
          return pool
              .submit(
                  [](OwnedFd entrance) {
                    pass(entrance);
                    return std::vector<std::string>(3, std::string(100'000, 'x'));
                  },
                  gate.entrance())
              .get()
              .size();
        });
      }));
    }
    gate.open();
    for (auto& one : all) EXPECT_EQ(one.get(), 3U);
  });
}

}  // namespace
}  // namespace weft::test
