#include <weft/futures/executor.hpp>

#include <atomic>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/futures/as_completed.hpp>
#include <weft/futures/wait.hpp>
#include <weft/queue/queue.hpp>
#include <weft/queue/select.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/scope.hpp>

#include "futures/kinds.hpp"
#include "support/eventually.hpp"

// What all executors promise alike. After the tests of CPython's Lib/test/test_concurrent_futures, in meaning.
namespace weft::test {
namespace {

static_assert(Executor<ThreadPoolExecutor> && Executor<FiberPoolExecutor>);

template <class Kind>
class ExecutorConformance : public testing::Test {};
TYPED_TEST_SUITE(ExecutorConformance, ExecutorKinds);

struct Unlucky : std::runtime_error {
  using std::runtime_error::runtime_error;
};

int twice(int number) { return 2 * number; }
int fail(const char* why) { throw Unlucky{why}; }

TYPED_TEST(ExecutorConformance, SubmitGivesTheResult) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    Future<int> future = pool->submit(twice, 21);
    EXPECT_EQ(future.get(), 42);
    EXPECT_TRUE(future.done());
    EXPECT_FALSE(future.running());
    EXPECT_FALSE(future.cancelled());
  });
}

TYPED_TEST(ExecutorConformance, TakesAnythingThatCanBeCalled) {
  struct Account {
    int balance = 40;
    int add(int more) { return balance += more; }
  };
  TypeParam::run([](auto make) {
    auto pool = make(2);
    Account account;
    EXPECT_EQ(pool->submit(&Account::add, &account, 2).get(), 42);
    EXPECT_EQ(account.balance, 42);
    EXPECT_EQ(pool->submit(&Account::add, account, 1).get(), 43) << "of a copy";
    EXPECT_EQ(account.balance, 42);
    auto only_once = std::make_unique<int>(7);
    EXPECT_EQ(pool->submit([p = std::move(only_once)] { return *p; }).get(), 7);
    EXPECT_EQ(pool->submit([](std::unique_ptr<int> p) { return *p; }, std::make_unique<int>(8)).get(), 8);
    std::string text = "a";
    pool->submit([](std::string& t) { t += 'b'; }, std::ref(text)).get();
    EXPECT_EQ(text, "ab");
  });
}

TYPED_TEST(ExecutorConformance, ResultsMayBeAnything) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    pool->submit([] {}).get();
    EXPECT_EQ(*pool->submit([] { return std::make_unique<int>(5); }).get(), 5);
    int here = 1;
    Future<int&> reference = pool->submit([&]() -> int& { return here; });
    EXPECT_EQ(&reference.get(), &here);
    EXPECT_EQ(&reference.result(), &here);
    EXPECT_EQ(*pool->submit([] { return std::optional<int>{3}; }).get(), 3);
  });
}

TYPED_TEST(ExecutorConformance, AnExceptionReachesTheCallerUnchanged) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    Future<int> future = pool->submit(fail, "no luck");
    EXPECT_THROW((void)future.get(), Unlucky);
    EXPECT_THROW((void)future.result(), Unlucky) << "again";
    const std::exception_ptr why = future.exception();
    ASSERT_TRUE(why);
    try {
      std::rethrow_exception(why);
    } catch (const Unlucky& error) {
      EXPECT_STREQ(error.what(), "no luck");
    }
    EXPECT_FALSE(pool->submit(twice, 1).exception());
    Future<void> odd = pool->submit([] { throw 7; });
    EXPECT_THROW(odd.get(), int);
  });
}

TYPED_TEST(ExecutorConformance, GetMovesTheValueOutAndResultRefersToIt) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    Future<std::string> future = pool->submit([] { return std::string(100, 'x'); });
    EXPECT_EQ(future.result().size(), 100U);
    EXPECT_EQ(future.result().size(), 100U);
    EXPECT_EQ(future.get().size(), 100U);
    EXPECT_THROW((void)future.get(), InvalidStateError);
    EXPECT_THROW((void)future.result(), InvalidStateError);
    const Future<int> empty;
    EXPECT_FALSE(empty.valid());
    EXPECT_THROW((void)empty.done(), InvalidStateError);
  });
}

TYPED_TEST(ExecutorConformance, TimedWaitsGiveUpAndTheWorkGoesOn) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    Event go;
    Future<int> future = pool->submit([&] {
      go.wait();
      return 1;
    });
    EXPECT_FALSE(future.wait_for(5ms));
    EXPECT_EQ(future.get_for(5ms), std::nullopt);
    EXPECT_EQ(future.try_get(), std::nullopt);
    EXPECT_FALSE(future.done());
    go.set();
    EXPECT_EQ(future.get_for(kPatience), 1);
    Future<void> nothing = pool->submit([] {});
    EXPECT_TRUE(nothing.get_for(kPatience));
  });
}

TYPED_TEST(ExecutorConformance, NeverDoesMoreAtOnceThanItMay) {
  TypeParam::run([](auto make) {
    auto pool = make(3);
    std::atomic<int> now{0};
    std::atomic<int> most{0};
    std::vector<Future<void>> futures;
    for (int i = 0; i < 40; ++i) {
      futures.push_back(pool->submit([&] {
        const int here = ++now;
        int seen = most;
        while (seen < here && !most.compare_exchange_weak(seen, here)) {
        }
        sleep_for(1ms);
        --now;
      }));
    }
    for (Future<void>& future : futures) future.get();
    EXPECT_EQ(most, 3);
    EXPECT_LE(pool->workers(), 3U);
  });
}

TYPED_TEST(ExecutorConformance, BeginsInTheOrderOfSubmission) {
  TypeParam::run([](auto make) {
    auto pool = make(1);
    std::vector<int> order;
    std::vector<Future<void>> futures;
    for (int i = 0; i < 100; ++i) futures.push_back(pool->submit([&order, i] { order.push_back(i); }));
    for (Future<void>& future : futures) future.get();
    std::vector<int> expected(100);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(order, expected);
  });
}

TYPED_TEST(ExecutorConformance, WhatHasNotBegunCanBeCancelled) {
  TypeParam::run([](auto make) {
    auto pool = make(1);
    Event go;
    Event begun;
    Future<void> first = pool->submit([&] {
      begun.set();
      go.wait();
    });
    begun.wait();
    auto held = std::make_shared<int>(0);
    std::atomic<bool> ran{false};
    Future<void> second = pool->submit([&ran, held] { ran = true; });
    EXPECT_TRUE(first.running());
    EXPECT_FALSE(first.cancel());
    EXPECT_FALSE(second.running());
    EXPECT_TRUE(second.cancel());
    EXPECT_TRUE(second.cancel()) << "again";
    EXPECT_TRUE(second.cancelled());
    EXPECT_TRUE(second.done());
    EXPECT_EQ(held.use_count(), 1) << "released at once";
    EXPECT_THROW(second.get(), CancelledError);
    EXPECT_THROW((void)second.exception(), CancelledError);
    go.set();
    first.get();
    EXPECT_FALSE(first.cancel());
    pool->shutdown();
    EXPECT_FALSE(ran);
  });
}

TYPED_TEST(ExecutorConformance, AWaiterLearnsOfACancellation) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    Event go;
    Event begun;
    auto blockers = std::vector<Future<void>>{};
    for (int i = 0; i < 2; ++i) {
      blockers.push_back(pool->submit([&] {
        begun.set();
        go.wait();
      }));
    }
    begun.wait();
    Future<int> waiting = pool->submit(twice, 1);
    Runtime elsewhere{{.workers = 2, .stack_bytes = kStackBytes}};
    Fiber<void> waiter = elsewhere.spawn([&] { EXPECT_THROW((void)waiting.get(), CancelledError); });
    sleep_for(2ms);
    EXPECT_TRUE(waiting.cancel());
    waiter.join();
    go.set();
  });
}

TYPED_TEST(ExecutorConformance, KillEndsWhatRunsAtItsNextWait) {
  TypeParam::run([](auto make) {
    auto pool = make(1);
    Event never;
    Event begun;
    std::atomic<bool> cleaned_up{false};
    Future<void> future = pool->submit([&] {
      struct CleanUp {
        std::atomic<bool>& done;
        ~CleanUp() { done = true; }
      } clean_up{cleaned_up};
      begun.set();
      never.wait();
    });
    begun.wait();
    future.kill();
    EXPECT_THROW(future.get(), CancelledError);
    EXPECT_TRUE(future.cancelled());
    EXPECT_TRUE(cleaned_up);
    // The worker has not been harmed.
    EXPECT_EQ(pool->submit([] {
      sleep_for(1ms);
      return 5;
    }).get(), 5);
    future.kill();
  });
}

TYPED_TEST(ExecutorConformance, ACallerThatIsKilledLeavesTheWorkAlone) {
  TypeParam::run([](auto make) {
    auto pool = make(1);
    Event go;
    Future<int> future = pool->submit([&] {
      go.wait();
      return 3;
    });
    Runtime elsewhere{{.workers = 2, .stack_bytes = kStackBytes}};
    Fiber<void> waiter = elsewhere.spawn([&] { (void)future.get(); });
    sleep_for(2ms);
    waiter.kill();
    EXPECT_THROW(waiter.get(), CancelledError);
    go.set();
    EXPECT_EQ(future.get(), 3);
    const DeadlineScope soon{5ms};
    Event unset;
    EXPECT_THROW(pool->submit([&] { unset.wait(); }).get(), TimeoutError);
    unset.set();
  });
}

TYPED_TEST(ExecutorConformance, CallbacksAreCalledInOrderAfterTheEnd) {
  TypeParam::run([](auto make) {
    auto pool = make(1);
    Event go;
    Event all;
    std::vector<int> calls;
    Future<int> future = pool->submit([&] {
      go.wait();
      return 4;
    });
    for (int i = 0; i < 3; ++i) {
      future.add_done_callback([&calls, i](Future<int>& done) {
        EXPECT_TRUE(done.done());
        calls.push_back(10 * i + done.result());
      });
    }
    future.add_done_callback([&](Future<int>&) { all.set(); });
    go.set();
    all.wait();
    EXPECT_EQ(calls, (std::vector{4, 14, 24}));
    bool at_once = false;
    future.add_done_callback([&](Future<int>& done) { at_once = done.get() == 4; });
    EXPECT_TRUE(at_once);
  });
}

TYPED_TEST(ExecutorConformance, ACallbackThatThrowsHarmsNobody) {
  TypeParam::run([](auto make) {
    auto pool = make(1);
    Event go;
    Event last;
    Future<void> future = pool->submit([&] { go.wait(); });
    testing::internal::CaptureStderr();
    future.add_done_callback([](Future<void>&) { throw Unlucky{"in a callback"}; });
    future.add_done_callback([](Future<void>&) { throw 1; });
    future.add_done_callback([&](Future<void>&) { last.set(); });
    go.set();
    last.wait();
    const std::string told = testing::internal::GetCapturedStderr();
    EXPECT_NE(told.find("in a callback"), std::string::npos) << told;
    EXPECT_EQ(pool->submit(twice, 2).get(), 4);
  });
}

TYPED_TEST(ExecutorConformance, ACancelledFutureCallsBackInTheCanceller) {
  TypeParam::run([](auto make) {
    auto pool = make(1);
    Event go;
    Future<void> first = pool->submit([&] { go.wait(); });
    Future<void> second = pool->submit([] {});
    std::uint64_t where = 0;
    second.add_done_callback([&](Future<void>& done) {
      EXPECT_TRUE(done.cancelled());
      where = detail::current_context_id();
    });
    EXPECT_TRUE(second.cancel());
    EXPECT_EQ(where, detail::current_context_id());
    go.set();
  });
}

TYPED_TEST(ExecutorConformance, ADroppedHandleChangesNothing) {
  TypeParam::run([](auto make) {
    Event ran;
    auto pool = make(1);
    { Future<void> dropped = pool->submit([&] { ran.set(); }); }
    ran.wait();
    Future<int> kept = pool->submit(twice, 1);
    kept = pool->submit(twice, 2);
    EXPECT_EQ(kept.get(), 4);
  });
}

TYPED_TEST(ExecutorConformance, SelectWaitsForFuturesToo) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    Event go;
    Queue<int> queue;
    Future<int> future = pool->submit([&] {
      go.wait();
      return 9;
    });
    int got = 0;
    const auto once = [&] {
      return select(future.on_done([&] { got = future.result(); }), queue.on_get([&](int item) { got = item; }));
    };
    queue.put(1);
    EXPECT_EQ(once(), 1U);
    EXPECT_EQ(got, 1);
    auto late = pool->submit([&] { go.set(); });
    EXPECT_EQ(once(), 0U);
    EXPECT_EQ(got, 9);
    EXPECT_EQ(once(), 0U);
  });
}

// ---- the end -------------------------------------------------------------------------------------------------------

TYPED_TEST(ExecutorConformance, ShutdownFinishesTheWorkAndRefusesMore) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    std::atomic<int> done{0};
    std::vector<Future<int>> futures;
    for (int i = 0; i < 30; ++i) {
      futures.push_back(pool->submit([&done, i] {
        sleep_for(100us);
        ++done;
        return i;
      }));
    }
    pool->shutdown();
    EXPECT_EQ(done, 30);
    EXPECT_THROW((void)pool->submit(twice, 1), ShutDown);
    pool->shutdown();
    for (int i = 0; i < 30; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), i) << "results stay readable";
    pool.reset();
  });
}

TYPED_TEST(ExecutorConformance, ShutdownMayCancelWhatHasNotBegun) {
  TypeParam::run([](auto make) {
    auto pool = make(1);
    Event go;
    Event begun;
    Future<int> first = pool->submit([&] {
      begun.set();
      go.wait();
      return 1;
    });
    begun.wait();
    std::vector<Future<int>> others;
    for (int i = 0; i < 5; ++i) others.push_back(pool->submit(twice, i));
    pool->shutdown({.wait = false, .cancel_pending = true});
    for (Future<int>& other : others) EXPECT_TRUE(other.cancelled());
    EXPECT_FALSE(first.done());
    go.set();
    EXPECT_EQ(first.get(), 1);
  });
}

TYPED_TEST(ExecutorConformance, ShutdownNeedNotWait) {
  TypeParam::run([](auto make) {
    auto go = std::make_shared<Event>();
    auto pool = make(1);
    Future<int> first = pool->submit([go] {
      go->wait();
      return 1;
    });
    Future<int> second = pool->submit(twice, 4);
    pool->shutdown({.wait = false});
    EXPECT_THROW((void)pool->submit(twice, 1), ShutDown);
    go->set();
    EXPECT_EQ(second.get(), 8) << "what was in line is done";
    EXPECT_EQ(first.get(), 1);
  });
}

TYPED_TEST(ExecutorConformance, TheDestructorFinishesTheWork) {
  TypeParam::run([](auto make) {
    std::atomic<int> done{0};
    {
      auto pool = make(2);
      for (int i = 0; i < 20; ++i) {
        (void)pool->submit([&] {
          sleep_for(100us);
          ++done;
        });
      }
    }
    EXPECT_EQ(done, 20);
  });
}

TYPED_TEST(ExecutorConformance, AnExceptionThatUnwindsCallsOffWhatHasNotBegun) {
  TypeParam::run([](auto make) {
    Event begun;
    std::atomic<int> ran{0};
    std::vector<Future<void>> futures;
    EXPECT_THROW(
        {
          auto pool = make(1);
          futures.push_back(pool->submit([&] {
            begun.set();
            sleep_for(5ms);
            ++ran;
          }));
          for (int i = 0; i < 10; ++i) futures.push_back(pool->submit([&] { ++ran; }));
          begun.wait();
          throw Unlucky{"in the caller"};
        },
        Unlucky);
    EXPECT_EQ(ran, 1);
    for (std::size_t i = 1; i < futures.size(); ++i) EXPECT_TRUE(futures[i].cancelled());
  });
}

TYPED_TEST(ExecutorConformance, WorkMaySubmitWork) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    std::atomic<int> done{0};
    Event all;
    std::function<void(int)> grow = [&](int depth) {
      if (++done == 127) all.set();
      if (depth == 0) return;
      for (int i = 0; i < 2; ++i) (void)pool->submit(grow, depth - 1);
    };
    (void)pool->submit(grow, 6);
    all.wait();
    pool->shutdown();
    EXPECT_EQ(done, 127);
  });
}

TYPED_TEST(ExecutorConformance, ABoundedLineMakesSubmitWait) {
  TypeParam::run([](auto make) {
    auto pool = make(1, 2);
    Event go;
    Event begun;
    std::vector<Future<void>> futures;
    futures.push_back(pool->submit([&] {
      begun.set();
      go.wait();
    }));
    begun.wait();
    for (int i = 0; i < 2; ++i) futures.push_back(pool->submit([] {}));
    {
      const DeadlineScope soon{3ms};
      EXPECT_THROW((void)pool->submit([] {}), TimeoutError);
    }
    std::atomic<bool> submitted{false};
    Runtime elsewhere{{.workers = 2, .stack_bytes = kStackBytes}};
    Fiber<void> submitter = elsewhere.spawn([&] {
      pool->submit([] {}).get();
      submitted = true;
    });
    sleep_for(3ms);
    EXPECT_FALSE(submitted);
    go.set();
    submitter.join();
    EXPECT_TRUE(submitted);
  });
}

TYPED_TEST(ExecutorConformance, ManySubmitFromManyPlaces) {
  TypeParam::run([](auto make) {
    constexpr int kSubmitters = 4, kEach = 500;
    auto pool = make(3);
    Runtime elsewhere{{.workers = 2, .stack_bytes = kStackBytes}};
    std::atomic<long> sum{0};
    std::vector<Fiber<void>> submitters;
    for (int s = 0; s < kSubmitters; ++s) {
      submitters.push_back(elsewhere.spawn([&] {
        std::vector<Future<int>> futures;
        for (int i = 1; i <= kEach; ++i) {
          futures.push_back(pool->submit(twice, i));
          if (i % 7 == 0) (void)futures[static_cast<std::size_t>(i / 2)].cancel();
        }
        for (Future<int>& future : futures) {
          try {
            sum += future.get();
          } catch (const CancelledError&) {
            ++sum;
          }
        }
      }));
    }
    join_all(submitters);
    EXPECT_GT(sum, 0);
    pool->shutdown();
  });
}

TYPED_TEST(ExecutorConformance, ShutdownAmongSubmissionsLosesNoneThatWasAccepted) {
  TypeParam::run([](auto make) {
    for (int round = 0; round < 20; ++round) {
      auto pool = make(2);
      std::atomic<int> accepted{0};
      std::atomic<int> ran{0};
      Runtime elsewhere{{.workers = 2, .stack_bytes = kStackBytes}};
      std::vector<Fiber<void>> submitters;
      for (int s = 0; s < 2; ++s) {
        submitters.push_back(elsewhere.spawn([&] {
          try {
            for (;;) {
              (void)pool->submit([&] { ++ran; });
              ++accepted;
              yield();
            }
          } catch (const ShutDown&) {
          }
        }));
      }
      EXPECT_TRUE(eventually([&] { return accepted > 20; }));
      pool->shutdown();
      join_all(submitters);
      EXPECT_EQ(ran, accepted);
    }
  });
}

// ---- map, wait, as_completed ---------------------------------------------------------------------------------------

TYPED_TEST(ExecutorConformance, MapGivesResultsInOrder) {
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

TYPED_TEST(ExecutorConformance, MapTakesSeveralRangesInStep) {
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

TYPED_TEST(ExecutorConformance, MapIsLazyWhenTold) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    std::atomic<int> called{0};
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

TYPED_TEST(ExecutorConformance, MapThrowsWhereItFailedAndGoesOnBehindIt) {
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

TYPED_TEST(ExecutorConformance, MapKeepsItsDeadline) {
  TypeParam::run([](auto make) {
    auto pool = make(1);
    Event go;
    auto results = pool->map(MapOptions{.deadline = Deadline::after(5ms)},
                             [&](int n) {
                               if (n == 1) go.wait();
                               return n;
                             },
                             std::vector<int>{0, 1});
    EXPECT_EQ(results.next(), 0);
    EXPECT_THROW((void)results.next(), TimeoutError);
    go.set();
  });
}

TYPED_TEST(ExecutorConformance, ADroppedMapCallsOffTheRest) {
  TypeParam::run([](auto make) {
    auto pool = make(1);
    Event go;
    std::atomic<int> called{0};
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

TYPED_TEST(ExecutorConformance, WaitForTheFirstTheFirstFailureOrAll) {
  TypeParam::run([](auto make) {
    auto pool = make(4);
    Event go;
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

TYPED_TEST(ExecutorConformance, FirstExceptionWaitsForAllWhenNoneFails) {
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

TYPED_TEST(ExecutorConformance, AsCompletedGivesThemAsTheyEnd) {
  TypeParam::run([](auto make) {
    auto pool = make(3);
    Event gates[3];
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

TYPED_TEST(ExecutorConformance, AsCompletedThrowsWhenTimeIsUpAndCanBeLeft) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    Event go;
    std::vector<Future<int>> futures;
    futures.push_back(pool->submit(twice, 1));
    futures.push_back(pool->submit([&] {
      go.wait();
      return 1;
    }));
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

TYPED_TEST(ExecutorConformance, AsCompletedOfManyGivesEachOnce) {
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

// ---- deadlocks -----------------------------------------------------------------------------------------------------

TYPED_TEST(ExecutorConformance, WaitingForOnesOwnLineIsADeadlockThatNamesThePool) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    // Two workers, each of which waits for work behind both of them.
    Event both_run;
    std::atomic<int> running{0};
    std::atomic<int> deadlocks{0};
    const auto wait_for_another = [&] {
      if (++running == 2) both_run.set();
      both_run.wait();
      try {
        return pool->submit(twice, 1).get();
      } catch (const DeadlockError& error) {
        ++deadlocks;
        const std::string text = error.what();
        EXPECT_NE(text.find("2 contexts wait for each other"), std::string::npos) << text;
        EXPECT_NE(text.find("\"pool\" (2 workers)"), std::string::npos) << text;
        return 0;
      }
    };
    Future<int> one = pool->submit(wait_for_another);
    Future<int> two = pool->submit(wait_for_another);
    EXPECT_EQ(one.get() + two.get(), 2) << "the other's work is done by the one that threw";
    EXPECT_EQ(deadlocks, 1);
  });
}

}  // namespace
}  // namespace weft::test
