#include <weft/futures/future.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/fiber/wait.hpp>
#include <weft/futures/promise.hpp>
#include <weft/futures/thread_pool_executor.hpp>
#include <weft/futures/when.hpp>
#include <weft/sync/event.hpp>

#include "support/world.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

class FutureConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(FutureConformance);

TEST_P(FutureConformance, APromiseWakesAllWhoWait) {
  in_world([](World& world) {
    Promise<int> promise;
    std::atomic<int> sum{0};
    std::vector<Future<int>> handles;
    for (int i = 0; i < 5; ++i) handles.push_back(promise.future());
    auto waiters = world.spawn_many(5, [&](int i) { sum += handles[static_cast<std::size_t>(i)].result(); });
    ASSERT_TRUE(soon_all_wait_in(waiters, WaitKind::Future));
    EXPECT_TRUE(promise.set_value(3));
    join_all(waiters);
    EXPECT_EQ(sum, 15);
    EXPECT_THROW(promise.set_value(4), InvalidStateError);
  });
}

TEST_P(FutureConformance, AWaiterMayGiveUpOrBeKilled) {
  in_world([](World& world) {
    Promise<int> promise;
    Future<int> future = promise.future();
    Runner killed = world.spawn([&] { (void)future.get(); });
    ASSERT_TRUE(killed.soon_waits_in(WaitKind::Future));
    killed.kill();
    EXPECT_EQ(killed.join(), Ending::Cancelled);
    EXPECT_FALSE(future.wait_for(1ms));
    promise.set_value(1);
    EXPECT_EQ(future.get(), 1);
  });
}

TEST_P(FutureConformance, TimeoutsAndGrantsLoseNothing) {
  in_world([](World& world) {
    for (int round = 0; round < 50; ++round) {
      Promise<int> promise;
      Future<int> future = promise.future();
      Runner waiter = world.spawn([&] {
        int tries = 0;
        for (;;) {
          if (const auto got = future.get_for(std::chrono::microseconds{20 * (tries++ % 5)})) {
            EXPECT_EQ(*got, 8);
            return;
          }
        }
      });
      yield();
      promise.set_value(8);
      waiter.join();
    }
  });
}

TEST_P(FutureConformance, IsOneOfTheThingsThatWaitTakes) {
  in_world([](World&) {
    Promise<int> promise;
    Future<int> future = promise.future();
    Event event;
    event.set();
    EXPECT_EQ(wait(WaitLimits{.count = 1}, future, event), (std::vector<std::size_t>{1}));
    promise.set_value(1);
    EXPECT_EQ(wait(WaitLimits{}, future, event).size(), 2U);
  });
}

TEST(Promise, KeepsFailures) {
  Promise<void> promise;
  Future<void> future = promise.future();
  EXPECT_TRUE(promise.set_exception(std::runtime_error{"no"}));
  EXPECT_THROW(future.get(), std::runtime_error);
  EXPECT_TRUE(future.exception());
}

TEST(Promise, DroppedUnkeptFailsItsFuture) {
  Future<int> future;
  {
    const Promise<int> promise;
    future = const_cast<Promise<int>&>(promise).future();
  }
  EXPECT_THROW((void)future.get(), CancelledError);
  Promise<int> moved_from;
  const Promise<int> other = std::move(moved_from);
  EXPECT_THROW((void)moved_from.future(), InvalidStateError);
}

TEST(Promise, OfACancelledFutureIsToldSo) {
  Promise<std::string> promise;
  Future<std::string> future = promise.future();
  EXPECT_TRUE(future.cancel());
  EXPECT_FALSE(promise.set_value("too late"));
  EXPECT_THROW((void)future.get(), CancelledError);
}

TEST(Promise, AMoveThatThrowsIsTheFailure) {
  struct Fragile {
    Fragile() = default;
    Fragile(Fragile&&) { throw std::runtime_error{"too fragile"}; }
  };
  Promise<Fragile> promise;
  Future<Fragile> future = promise.future();
  promise.set_value(Fragile{});
  EXPECT_THROW(future.result(), std::runtime_error);
}

TEST(Future, CancelAgainstBeginHasOneWinner) {
  ThreadPoolExecutor pool{2};
  for (int round = 0; round < 3000; ++round) {
    std::atomic<int> ran{0};
    Future<void> future = pool.submit([&] { ++ran; });
    const bool cancelled = future.cancel();
    future.wait();
    EXPECT_EQ(future.cancelled(), cancelled);
    if (!cancelled) future.get();
    EXPECT_EQ(ran, cancelled ? 0 : 1);
  }
}

TEST(Future, KillAgainstTheEndLeavesTheWorkerUnharmed) {
  ThreadPoolExecutor pool{1};
  for (int round = 0; round < 2000; ++round) {
    Future<int> future = pool.submit([] {
      check_cancelled();
      return 1;
    });
    if (round % 2) (void)eventually([&] { return future.running() || future.done(); });
    future.kill();
    try {
      EXPECT_EQ(future.get(), 1);
    } catch (const CancelledError&) {
    }
    EXPECT_EQ(pool.submit([] {
                  check_cancelled();
                  return 2;
                }).get(),
              2);
  }
}

TEST(Future, CallbacksThatComeWhileItEndsAreAllCalled) {
  ThreadPoolExecutor pool{2};
  for (int round = 0; round < 500; ++round) {
    std::atomic<int> called{0};
    Future<void> future = pool.submit([] {});
    for (int i = 0; i < 5; ++i) future.add_done_callback([&](Future<void>&) { ++called; });
    future.wait();
    EXPECT_TRUE(eventually([&] { return called == 5; }));
  }
}

TEST(WhenAll, GivesAllValuesInOrder) {
  ThreadPoolExecutor pool{3};
  std::vector<Future<int>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(pool.submit([i] { return i; }));
  const std::vector<int> all = when_all(std::move(futures)).get();
  ASSERT_EQ(all.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], i);
  EXPECT_TRUE(when_all(std::vector<Future<int>>{}).get().empty());
  when_all(std::vector<Future<void>>{}).get();
}

TEST(WhenAll, OfDifferentTypesIsATuple) {
  ThreadPoolExecutor pool{3};
  auto [number, nothing, text] =
      when_all(pool.submit([] { return 1; }), pool.submit([] {}), pool.submit([] { return std::make_unique<std::string>("x"); }))
          .get();
  EXPECT_EQ(number, 1);
  EXPECT_EQ(nothing, std::monostate{});
  EXPECT_EQ(*text, "x");
}

TEST(WhenAll, FailsWithTheFirstFailureAtOnce) {
  ThreadPoolExecutor pool{2};
  Promise<void> never;
  std::vector<Future<void>> futures;
  futures.push_back(never.future());
  futures.push_back(pool.submit([] { throw std::runtime_error{"first"}; }));
  EXPECT_THROW(when_all(std::move(futures)).get(), std::runtime_error);
  never.set_value();
  Promise<int> cancelled;
  Future<int> handle = cancelled.future();
  auto both = when_all(cancelled.future(), pool.submit([] { return 1; }));
  (void)handle.cancel();
  EXPECT_THROW((void)both.get(), CancelledError);
}

TEST(WhenAll, CanBeCancelledAndLeavesTheOthersAlone) {
  Promise<int> promise;
  Future<int> handle = promise.future();
  auto all = when_all(promise.future());
  EXPECT_TRUE(all.cancel());
  promise.set_value(2);
  EXPECT_EQ(handle.get(), 2);
  EXPECT_THROW((void)all.get(), CancelledError);
}

TEST(WhenAny, GivesTheFirst) {
  Promise<int> promises[3];
  std::vector<Future<int>> futures;
  for (auto& promise : promises) futures.push_back(promise.future());
  auto any = when_any(std::move(futures));
  EXPECT_FALSE(any.done());
  promises[1].set_value(5);
  const WhenAny<int> first = any.get();
  EXPECT_EQ(first.index, 1U);
  EXPECT_EQ(first.value, 5);
  promises[0].set_value(6);
  EXPECT_THROW((void)when_any(std::vector<Future<int>>{}), InvalidStateError);
  Promise<void> failing;
  std::vector<Future<void>> one;
  one.push_back(failing.future());
  auto failed = when_any(std::move(one));
  failing.set_exception(std::runtime_error{"no"});
  EXPECT_THROW((void)failed.get(), std::runtime_error);
}

TEST(WhenAll, RacesOfEndsAreDecidedOnce) {
  ThreadPoolExecutor pool{3};
  for (int round = 0; round < 300; ++round) {
    std::vector<Future<int>> futures;
    for (int i = 0; i < 8; ++i) {
      futures.push_back(pool.submit([i, round]() -> int {
        if (round % 3 == 0 && i % 4 == 3) throw std::runtime_error{"one of two"};
        return i;
      }));
    }
    auto all = when_all(std::move(futures));
    if (round % 3 == 0) {
      EXPECT_THROW((void)all.get(), std::runtime_error);
    } else {
      EXPECT_EQ(all.get().size(), 8U);
    }
  }
}

}  // namespace
}  // namespace weft::test
