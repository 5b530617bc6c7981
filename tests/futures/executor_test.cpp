#include <weft/futures/executor.hpp>

#include <atomic>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/queue/queue.hpp>
#include <weft/queue/select.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/scope.hpp>

#include "futures/kinds.hpp"
#include "support/eventually.hpp"

// What all executors promise alike. After the tests of CPython's Lib/test/test_concurrent_futures, in meaning.
namespace weft::test {
namespace {

static_assert(Executor<ThreadPoolExecutor> && Executor<FiberPoolExecutor>);

struct SetAtEnd {
  std::atomic<bool>& flag;
  ~SetAtEnd() { flag = true; }
};

template <class Kind>
class ExecutorConformance : public testing::Test {};
TYPED_TEST_SUITE(ExecutorConformance, ExecutorKinds);

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
    Event go;
    auto pool = make(2);
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
    std::atomic<int> now{0};
    std::atomic<int> most{0};
    auto pool = make(3);
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
    std::vector<int> order;
    auto pool = make(1);
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
    Event go;
    Event begun;
    auto pool = make(1);
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
    Event go;
    Event begun;
    auto pool = make(2);
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
    Event never;
    Event begun;
    std::atomic<bool> cleaned_up{false};
    auto pool = make(1);
    Future<void> future = pool->submit([&] {
      const SetAtEnd clean_up{cleaned_up};
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
    Event go;
    auto pool = make(1);
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
    Event go;
    Event all;
    std::vector<int> calls;
    auto pool = make(1);
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
    Event go;
    Event last;
    auto pool = make(1);
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
    Event go;
    auto pool = make(1);
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
    Event go;
    auto pool = make(2);
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

}  // namespace
}  // namespace weft::test
