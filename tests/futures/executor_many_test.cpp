#include <weft/futures/executor.hpp>

#include <atomic>
#include <numeric>
#include <ranges>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/futures/as_completed.hpp>
#include <weft/futures/wait.hpp>
#include <weft/sync/event.hpp>

#include "futures/kinds.hpp"
#include "support/eventually.hpp"

// Many results at once: map(), wait() and as_completed() of all executors.
namespace weft::test {
namespace {

template <class Kind>
class ExecutorMany : public testing::Test {};
TYPED_TEST_SUITE(ExecutorMany, ExecutorKinds);

TYPED_TEST(ExecutorMany, MapGivesResultsInOrder) {
  TypeParam::run([](auto make) {
    auto pool = make(3);
    std::vector<int> numbers(50);
    std::iota(numbers.begin(), numbers.end(), 0);
    for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}, std::size_t{100}}) {
      for (const std::size_t ahead : {std::size_t{0}, std::size_t{1}, std::size_t{4}}) {
        std::vector<int> results;
        const MapOptions options{.chunk_size = chunk, .look_ahead = ahead};
        for (int result : pool->map(options, twice, numbers)) results.push_back(result);
        ASSERT_EQ(results.size(), numbers.size());
        for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i], 2 * numbers[i]);
      }
    }
    const std::vector<int> none;
    for (int result : pool->map(twice, none)) ADD_FAILURE() << result;
  });
}

TYPED_TEST(ExecutorMany, MapTakesSeveralRangesInStep) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    const std::vector<int> numbers{1, 2, 3, 4};
    const std::vector<std::string> texts{"a", "b", "c"};
    std::string all;
    for (const std::string& part : pool->map([](int n, const std::string& t) { return t + std::to_string(n); }, numbers, texts)) {
      all += part;
    }
    EXPECT_EQ(all, "a1b2c3");
  });
}

TYPED_TEST(ExecutorMany, MapIsLazyWhenTold) {
  TypeParam::run([](auto make) {
    std::atomic<int> called{0};
    auto pool = make(2);
    auto results = pool->map(MapOptions{.look_ahead = 3},
                             [&](int n) {
                               ++called;
                               return n;
                             },
                             std::views::iota(0));
    for (int i = 0; i < 10; ++i) EXPECT_EQ(results.next(), i);
    EXPECT_LE(called, 14);
  });
}

TYPED_TEST(ExecutorMany, MapThrowsWhereItFailedAndGoesOnBehindIt) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    auto results = pool->map(
        [](int n) {
          if (n == 1) throw Unlucky{"one"};
          return n;
        },
        std::vector<int>{0, 1, 2});
    EXPECT_EQ(results.next(), 0);
    EXPECT_THROW((void)results.next(), Unlucky);
    EXPECT_EQ(results.next(), 2);
    EXPECT_EQ(results.next(), std::nullopt);
  });
}

TYPED_TEST(ExecutorMany, AFailureDoesNotShortenALazyMap) {
  TypeParam::run([](auto make) {
    auto pool = make(1);
    auto results = pool->map(
        MapOptions{.look_ahead = 1},
        [](int n) {
          if (n % 2 == 0) throw Unlucky{"even"};
          return n;
        },
        std::views::iota(0, 6));
    int odd = 0;
    int failed = 0;
    for (int i = 0; i < 6; ++i) {
      try {
        const auto result = results.next();
        ASSERT_TRUE(result);
        odd += *result;
      } catch (const Unlucky&) {
        ++failed;
      }
    }
    EXPECT_EQ(odd, 1 + 3 + 5);
    EXPECT_EQ(failed, 3);
    EXPECT_EQ(results.next(), std::nullopt);
  });
}

TYPED_TEST(ExecutorMany, MapKeepsItsDeadline) {
  TypeParam::run([](auto make) {
    Event go;
    auto pool = make(1);
    auto results = pool->map(MapOptions{.deadline = Deadline::after(5ms)},
                             [&](int n) {
                               go.wait();
                               return n;
                             },
                             std::vector<int>{0, 1});
    EXPECT_THROW((void)results.next(), TimeoutError);
    go.set();
  });
}

TYPED_TEST(ExecutorMany, ADroppedMapCallsOffTheRest) {
  TypeParam::run([](auto make) {
    Event go;
    std::atomic<int> called{0};
    auto pool = make(1);
    {
      auto results = pool->map(
          [&](int n) {
            go.wait();
            ++called;
            return n;
          },
          std::views::iota(0, 100));
    }
    go.set();
    pool->shutdown();
    EXPECT_LE(called, 1);
  });
}

TYPED_TEST(ExecutorMany, WaitForTheFirstTheFirstFailureOrAll) {
  TypeParam::run([](auto make) {
    Event go;
    auto pool = make(4);
    std::vector<Future<int>> futures;
    futures.push_back(pool->submit([&] {
      go.wait();
      return 0;
    }));
    futures.push_back(pool->submit(twice, 1));
    const auto first = wait(futures, ReturnWhen::FirstCompleted);
    EXPECT_EQ(first.done, (std::vector<std::size_t>{1}));
    EXPECT_EQ(first.not_done, (std::vector<std::size_t>{0}));
    EXPECT_EQ(wait(futures, ReturnWhen::AllCompleted, 3ms).done.size(), 1U);
    EXPECT_EQ(wait(futures, ReturnWhen::FirstException, 3ms).done.size(), 1U);
    futures.push_back(pool->submit(fail, "now"));
    const auto failed = wait(futures, ReturnWhen::FirstException);
    EXPECT_EQ(failed.not_done, (std::vector<std::size_t>{0}));
    go.set();
    EXPECT_TRUE(wait(futures).not_done.empty());
    EXPECT_EQ(wait(futures, ReturnWhen::FirstException).done.size(), 3U);
    EXPECT_TRUE(wait(std::vector<Future<int>>{}, ReturnWhen::FirstCompleted).done.empty());
  });
}

TYPED_TEST(ExecutorMany, FirstExceptionWaitsForAllWhenNoneFails) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    std::vector<Future<int>> futures;
    for (int i = 0; i < 10; ++i) {
      futures.push_back(pool->submit([i] {
        sleep_for(std::chrono::microseconds{100 * (i % 3)});
        return i;
      }));
    }
    (void)futures[9].cancel();
    EXPECT_EQ(wait(futures, ReturnWhen::FirstException).done.size(), 10U);
  });
}

TYPED_TEST(ExecutorMany, AsCompletedGivesThemAsTheyEnd) {
  TypeParam::run([](auto make) {
    Event gates[3];
    auto pool = make(3);
    std::vector<Future<int>> futures;
    for (int i = 0; i < 3; ++i) {
      futures.push_back(pool->submit([&gates, i] {
        gates[i].wait();
        return i;
      }));
    }
    gates[1].set();
    std::vector<int> order;
    for (Future<int>& done : as_completed(futures, kPatience)) {
      order.push_back(done.get());
      if (order.size() == 1) gates[2].set();
      if (order.size() == 2) gates[0].set();
    }
    EXPECT_EQ(order, (std::vector{1, 2, 0}));
    std::vector<Future<int>> none;
    for (Future<int>& done : as_completed(none)) ADD_FAILURE() << done.get();
  });
}

TYPED_TEST(ExecutorMany, AsCompletedThrowsWhenTimeIsUpAndCanBeLeft) {
  TypeParam::run([](auto make) {
    Event go;
    auto pool = make(2);
    std::vector<Future<int>> futures;
    futures.push_back(pool->submit(twice, 1));
    futures.push_back(pool->submit([&] {
      go.wait();
      return 1;
    }));
    futures[0].wait();
    int seen = 0;
    try {
      for (Future<int>& done : as_completed(futures, 5ms)) seen += done.get();
      ADD_FAILURE() << "no TimeoutError";
    } catch (const TimeoutError& error) {
      EXPECT_NE(std::string{error.what()}.find("1 of 2"), std::string::npos) << error.what();
    }
    EXPECT_EQ(seen, 2);
    for (Future<int>& done : as_completed(futures)) {
      EXPECT_TRUE(done.done());
      break;
    }
    go.set();
  });
}

TYPED_TEST(ExecutorMany, AsCompletedOfManyGivesEachOnce) {
  TypeParam::run([](auto make) {
    auto pool = make(3);
    for (int round = 0; round < 5; ++round) {
      std::vector<Future<int>> futures;
      for (int i = 0; i < 400; ++i) futures.push_back(pool->submit([i] { return i; }));
      for (int i = 0; i < 400; i += 9) (void)futures[static_cast<std::size_t>(i)].cancel();
      std::size_t count = 0;
      for (Future<int>& done : as_completed(futures, kPatience)) {
        EXPECT_TRUE(done.done());
        ++count;
        if (round == 4 && count == 100) break;
      }
      EXPECT_EQ(count, round == 4 ? 100U : 400U);
    }
  });
}

}  // namespace
}  // namespace weft::test
