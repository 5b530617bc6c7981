#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/process/joinable_queue.hpp>
#include <weft/process/queue.hpp>
#include <weft/process/simple_queue.hpp>
#include <weft/sync/scope.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

// What the queues of one process promise (tests/queue/conformance_test.cpp), as far as those between processes promise
// it too, in one process. Of several who wait, any may be next here.
namespace weft::test {
namespace {

using detail::WaitKind;
using process::JoinableQueue;
using process::SimpleQueue;
template <class T>
using ProcessQueue = process::Queue<T>;

class ProcessQueueConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(ProcessQueueConformance);

#define WEFT_PROCESS_QUEUE_TEST(name)     \
  void name(World& world);                \
  TEST_P(ProcessQueueConformance, name) { \
    in_world(name);                       \
  }                                       \
  void name([[maybe_unused]] World& world)

std::vector<int> drain(ProcessQueue<int>& queue) {
  std::vector<int> items;
  while (auto got = queue.try_get()) items.push_back(*got);
  return items;
}

// ---- one after the other -------------------------------------------------------------------------------------------

WEFT_PROCESS_QUEUE_TEST(IsEmptyAtFirstAndCountsItsItems) {
  ProcessQueue<int> queue{3, "jobs"};
  EXPECT_STREQ(queue.name(), "jobs");
  EXPECT_EQ(queue.maxsize(), 3u);
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(queue.full());
  for (std::size_t i = 1; i <= 3; ++i) {
    queue.put(7);
    EXPECT_EQ(queue.qsize(), i);
    EXPECT_FALSE(queue.empty());
    EXPECT_EQ(queue.full(), i == 3);
  }
  (void)queue.get();
  EXPECT_EQ(queue.qsize(), 2u);
  EXPECT_FALSE(queue.full());
}

WEFT_PROCESS_QUEUE_TEST(GivesItemsInTheirOrderWhateverTheirSizes) {
  ProcessQueue<std::string> queue;
  std::vector<std::string> items;
  for (int i = 0; i < 1500; ++i)
    items.push_back(std::string(static_cast<std::size_t>(i * 37 % 1009), static_cast<char>('a' + i % 26)));
  for (int round = 0; round < 3; ++round) {  // around the end of the memory it has
    for (const std::string& item : items) queue.put(item);
    for (const std::string& item : items) ASSERT_EQ(queue.get(), item);
  }
  EXPECT_TRUE(queue.empty());
}

WEFT_PROCESS_QUEUE_TEST(WithoutABoundIsNeverFull) {
  ProcessQueue<int> queue;
  for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(queue.try_put(i));
  EXPECT_FALSE(queue.full());
  EXPECT_EQ(queue.maxsize(), 0u);
  EXPECT_EQ(queue.qsize(), 20'000u);
  for (int i = 0; i < 20'000; ++i) ASSERT_EQ(queue.try_get(), i);
}

WEFT_PROCESS_QUEUE_TEST(AFullQueueRefusesAPutThatDoesNotWait) {
  ProcessQueue<int> queue{2};
  queue.put(1);
  EXPECT_TRUE(queue.try_put(2));
  EXPECT_FALSE(queue.try_put(3));
  const Stopwatch watch;
  EXPECT_FALSE(queue.put_for(3, 20ms));
  EXPECT_GE(watch.elapsed(), 20ms);
  EXPECT_FALSE(queue.put_for(3, 0ms));
  EXPECT_FALSE(queue.put_for(3, -1s));
  EXPECT_FALSE(queue.put_until(3, Deadline::already()));
  EXPECT_FALSE(queue.put_until(3, Clock::now() + 1ms));
  EXPECT_EQ(drain(queue), (std::vector{1, 2}));
}

WEFT_PROCESS_QUEUE_TEST(AnEmptyQueueRefusesAGetThatDoesNotWait) {
  ProcessQueue<int> queue{2};
  EXPECT_FALSE(queue.try_get());
  const Stopwatch watch;
  EXPECT_FALSE(queue.get_for(20ms));
  EXPECT_GE(watch.elapsed(), 20ms);
  EXPECT_FALSE(queue.get_for(-1s));
  EXPECT_FALSE(queue.get_until(Deadline::already()));
  EXPECT_FALSE(queue.get_until(Clock::now() + 1ms));
  queue.put(1);
  EXPECT_TRUE(queue.get_for(0s));
}

WEFT_PROCESS_QUEUE_TEST(ACopyOfAHandleIsTheSameQueue) {
  ProcessQueue<int> queue;
  ProcessQueue<int> copy = queue;
  queue.put(1);
  EXPECT_EQ(copy.get(), 1);
  ProcessQueue<int> moved = std::move(copy);
  queue.close();
  moved.put(2);
  EXPECT_EQ(moved.get(), 2);
}

WEFT_PROCESS_QUEUE_TEST(AClosedHandleSaysSo) {
  ProcessQueue<int> queue;
  queue.close();
  queue.close();
  EXPECT_THROW(queue.put(1), InvalidStateError);
  EXPECT_THROW((void)queue.get(), InvalidStateError);
  EXPECT_THROW((void)queue.qsize(), InvalidStateError);
  EXPECT_THROW((void)queue.is_shut_down(), InvalidStateError);
}

// ---- waiting -------------------------------------------------------------------------------------------------------

WEFT_PROCESS_QUEUE_TEST(GetWaitsForAPut) {
  ProcessQueue<int> queue{2};
  Runner getter = world.spawn([&] {
    EXPECT_EQ(queue.get(), 1);
    EXPECT_EQ(queue.get_for(kPatience), 2);
  });
  for (int i = 1; i <= 2; ++i) {
    ASSERT_TRUE(getter.soon_waits_in(WaitKind::Queue));
    queue.put(i);
    EXPECT_TRUE(eventually([&] { return queue.empty(); }));
  }
  EXPECT_EQ(getter.join(), Ending::Returned);
}

WEFT_PROCESS_QUEUE_TEST(PutWaitsForAGet) {
  ProcessQueue<int> queue{2};
  queue.put(1);
  queue.put(2);
  Runner putter = world.spawn([&] {
    queue.put(3);
    EXPECT_TRUE(queue.put_for(4, kPatience));
  });
  std::vector<int> taken;
  for (int i = 1; i <= 2; ++i) {
    ASSERT_TRUE(putter.soon_waits_in(WaitKind::Queue));
    taken.push_back(queue.get());
    EXPECT_TRUE(eventually([&] { return queue.full(); }));  // with what waited
  }
  EXPECT_EQ(putter.join(), Ending::Returned);
  for (int rest : drain(queue)) taken.push_back(rest);
  EXPECT_EQ(taken, (std::vector{1, 2, 3, 4}));
}

WEFT_PROCESS_QUEUE_TEST(EachItemEndsOneWait) {
  ProcessQueue<int> queue;
  std::atomic<int> sum{0};
  auto getters = world.spawn_many(5, [&](int) { sum += queue.get(); });
  ASSERT_TRUE(soon_all_wait_in(getters, WaitKind::Queue));
  for (int i = 0; i < 5; ++i) queue.put(1 << i);
  join_all(getters);
  EXPECT_EQ(sum, 31);
}

WEFT_PROCESS_QUEUE_TEST(EachGetEndsOneWaitOfAPutter) {
  ProcessQueue<int> queue{1};
  queue.put(0);
  auto putters = world.spawn_many(4, [&](int number) { queue.put(number + 1); });
  ASSERT_TRUE(soon_all_wait_in(putters, WaitKind::Queue));
  std::vector<int> taken;
  for (int i = 0; i <= 4; ++i) taken.push_back(queue.get());
  join_all(putters);
  std::sort(taken.begin(), taken.end());
  EXPECT_EQ(taken, (std::vector{0, 1, 2, 3, 4}));
}

WEFT_PROCESS_QUEUE_TEST(GetIsACancellationPointThatLosesNoItem) {
  ProcessQueue<int> queue;
  auto getters = world.spawn_many(3, [&](int number) {
    if (number == 1) (void)queue.get();
    (void)queue.get_for(1h);
  });
  ASSERT_TRUE(soon_all_wait_in(getters, WaitKind::Queue));
  getters[0].kill();
  getters[1].kill();
  EXPECT_EQ(getters[0].join(), Ending::Cancelled);
  EXPECT_EQ(getters[1].join(), Ending::Cancelled);
  queue.put(1);
  EXPECT_EQ(getters[2].join(), Ending::Returned);
  EXPECT_TRUE(queue.empty());
}

WEFT_PROCESS_QUEUE_TEST(PutAndJoinAreCancellationPoints) {
  JoinableQueue<int> queue{1};
  queue.put(1);
  Runner putter = world.spawn([&] { queue.put(2); });
  Runner joiner = world.spawn([&] { queue.join(); });
  ASSERT_TRUE(putter.soon_waits_in(WaitKind::Queue));
  ASSERT_TRUE(joiner.soon_waits_in(WaitKind::Queue));
  putter.kill();
  joiner.kill();
  EXPECT_EQ(putter.join(), Ending::Cancelled);
  EXPECT_EQ(joiner.join(), Ending::Cancelled);
  EXPECT_EQ(queue.try_get(), 1);
  EXPECT_TRUE(queue.empty());
}

WEFT_PROCESS_QUEUE_TEST(HeedsTheDeadlineOfAScope) {
  ProcessQueue<int> queue{1};
  {
    const DeadlineScope scope{20ms};
    EXPECT_THROW((void)queue.get(), TimeoutError);
  }
  queue.put(1);
  const DeadlineScope scope{20ms};
  EXPECT_THROW((void)queue.put_for(2, 1h), TimeoutError);
  EXPECT_EQ(queue.get(), 1);  // what need not wait is no business of a scope's
}

WEFT_PROCESS_QUEUE_TEST(MakesVisibleWhatPrecededThePut) {
  ProcessQueue<int> queue{4};
  std::vector<int> values(400);  // not atomic: ThreadSanitizer checks the order
  Runner reader = world.spawn([&] {
    for (int i = 0; i < 400; ++i) {
      const int got = queue.get();
      EXPECT_EQ(values[got], got * 3);
    }
  });
  for (int i = 0; i < 400; ++i) {
    values[i] = i * 3;
    queue.put(i);
  }
  reader.join();
}

// ---- open tasks ----------------------------------------------------------------------------------------------------

WEFT_PROCESS_QUEUE_TEST(JoinWaitsForATaskDoneOfEachItem) {
  JoinableQueue<int> queue;
  queue.join();  // nothing has been put
  std::atomic<int> sum{0};
  auto workers = world.spawn_many(2, [&](int) {
    for (;;) {
      const int got = queue.get();
      if (got >= 0) sum += got;
      queue.task_done();
      if (got < 0) return;
    }
  });
  for (int round = 1; round <= 2; ++round) {
    for (int i = 0; i < 100; ++i) queue.put(i);
    queue.join();
    EXPECT_EQ(sum, round * 4950);
  }
  queue.put(-1);
  queue.put(-1);
  queue.join();
  join_all(workers);
}

WEFT_PROCESS_QUEUE_TEST(TimedJoinTellsWhetherAllWasDone) {
  JoinableQueue<int> queue;
  EXPECT_TRUE(queue.join_for(0s));
  queue.put(1);
  EXPECT_FALSE(queue.join_for(5ms));
  (void)queue.get();
  EXPECT_FALSE(queue.join_until(Clock::now() + 5ms));  // taken, but not done
  auto joiners = world.spawn_many(3, [&](int) { EXPECT_TRUE(queue.join_for(kPatience)); });
  ASSERT_TRUE(soon_all_wait_in(joiners, WaitKind::Queue));
  queue.task_done();
  join_all(joiners);
}

WEFT_PROCESS_QUEUE_TEST(OneTaskDoneTooManyIsAnError) {
  JoinableQueue<int> queue;
  EXPECT_THROW(queue.task_done(), InvalidStateError);
  queue.put(1);
  queue.task_done();
  EXPECT_THROW(queue.task_done(), InvalidStateError);
  EXPECT_EQ(queue.qsize(), 1u);
}

// ---- the end -------------------------------------------------------------------------------------------------------

WEFT_PROCESS_QUEUE_TEST(ShutDownWhileEmptyNothingWorksAnyMore) {
  JoinableQueue<int> queue{2};
  EXPECT_FALSE(queue.is_shut_down());
  queue.shutdown();
  EXPECT_TRUE(queue.is_shut_down());
  EXPECT_THROW(queue.put(1), ShutDown);
  EXPECT_THROW((void)queue.try_put(1), ShutDown);
  EXPECT_THROW((void)queue.put_for(1, 1h), ShutDown);
  EXPECT_THROW((void)queue.get(), ShutDown);
  EXPECT_FALSE(queue.try_get());
  EXPECT_FALSE(queue.get_for(1h));
  EXPECT_TRUE(queue.join_for(0s));
  EXPECT_THROW(queue.task_done(), InvalidStateError);
}

WEFT_PROCESS_QUEUE_TEST(AGentleShutdownLetsTheRestBeTaken) {
  JoinableQueue<int> queue{2};
  queue.put(1);
  queue.put(2);
  queue.shutdown();
  EXPECT_THROW(queue.put(3), ShutDown);  // though full: it does not wait
  EXPECT_FALSE(queue.join_for(1ms));
  EXPECT_EQ(queue.get(), 1);
  EXPECT_EQ(queue.get(), 2);
  EXPECT_THROW((void)queue.get(), ShutDown);
  queue.task_done();
  queue.task_done();
  EXPECT_TRUE(queue.join_for(0s));
}

WEFT_PROCESS_QUEUE_TEST(AnImmediateShutdownDropsTheRest) {
  JoinableQueue<int> queue{4};
  for (int i = 0; i < 4; ++i) queue.put(i);
  (void)queue.get();
  queue.shutdown(true);
  EXPECT_EQ(queue.qsize(), 0u);
  EXPECT_FALSE(queue.full());
  EXPECT_FALSE(queue.try_get());
  EXPECT_THROW((void)queue.get(), ShutDown);
  EXPECT_FALSE(queue.join_for(1ms));  // the one that was taken is not done yet
  queue.task_done();
  EXPECT_TRUE(queue.join_for(0s));
  EXPECT_THROW(queue.task_done(), InvalidStateError);
}

WEFT_PROCESS_QUEUE_TEST(TasksDoneInAdvanceAreNotSubtractedTwice) {
  JoinableQueue<int> queue;
  for (int i = 0; i < 3; ++i) queue.put(i);
  queue.task_done();
  queue.task_done();
  queue.shutdown(true);
  EXPECT_TRUE(queue.join_for(0s));
  EXPECT_THROW(queue.task_done(), InvalidStateError);
}

WEFT_PROCESS_QUEUE_TEST(ShutdownMayBeRepeatedAndBecomeImmediate) {
  ProcessQueue<int> queue;
  queue.put(1);
  queue.shutdown();
  queue.shutdown();
  EXPECT_EQ(queue.qsize(), 1u);
  queue.shutdown(true);
  EXPECT_EQ(queue.qsize(), 0u);
  queue.shutdown();  // it does not come back
  EXPECT_THROW((void)queue.get(), ShutDown);
}

WEFT_PROCESS_QUEUE_TEST(ShutdownWakesGetters) {
  for (const bool immediate : {false, true}) {
    ProcessQueue<int> queue;
    auto getters = world.spawn_many(4, [&](int number) {
      if (number % 2 == 0) {
        EXPECT_THROW((void)queue.get(), ShutDown);
      } else {
        EXPECT_FALSE(queue.get_for(1h));
      }
    });
    ASSERT_TRUE(soon_all_wait_in(getters, WaitKind::Queue));
    queue.shutdown(immediate);
    join_all(getters);
  }
}

WEFT_PROCESS_QUEUE_TEST(ShutdownWakesPuttersWhoseItemsStayOutside) {
  for (const bool immediate : {false, true}) {
    ProcessQueue<int> queue{1};
    queue.put(0);
    auto putters = world.spawn_many(4, [&](int number) {
      if (number % 2 == 0) {
        EXPECT_THROW(queue.put(1), ShutDown);
      } else {
        EXPECT_THROW((void)queue.put_for(1, 1h), ShutDown);
      }
    });
    ASSERT_TRUE(soon_all_wait_in(putters, WaitKind::Queue));
    queue.shutdown(immediate);
    join_all(putters);
    EXPECT_EQ(queue.qsize(), immediate ? 0u : 1u);
  }
}

WEFT_PROCESS_QUEUE_TEST(OnlyAnImmediateShutdownEndsJoin) {
  JoinableQueue<int> queue;
  queue.put(0);
  Runner joiner = world.spawn([&] { queue.join(); });
  ASSERT_TRUE(joiner.soon_waits_in(WaitKind::Queue));
  queue.shutdown();
  EXPECT_FALSE(joiner.done());
  EXPECT_TRUE(joiner.soon_waits_in(WaitKind::Queue));
  queue.shutdown(true);
  EXPECT_EQ(joiner.join(), Ending::Returned);
}

WEFT_PROCESS_QUEUE_TEST(WhatWasPutBeforeAGentleShutdownIsTakenByMany) {
  ProcessQueue<int> queue{8};
  std::atomic<int> taken{0};
  std::atomic<int> put{0};
  auto putters = world.spawn_many(3, [&](int) {
    try {
      for (int i = 0;; ++i) {
        queue.put(i);
        ++put;
      }
    } catch (const ShutDown&) {
    }
  });
  auto getters = world.spawn_many(3, [&](int) {
    while (queue.get_until(Deadline::never())) ++taken;
  });
  ASSERT_TRUE(eventually([&] { return taken > 500; }));
  queue.shutdown();
  join_all(putters);
  join_all(getters);
  EXPECT_EQ(taken, put);
  EXPECT_TRUE(queue.empty());
}

// ---- many ----------------------------------------------------------------------------------------------------------

WEFT_PROCESS_QUEUE_TEST(ConservesItemsAndTheOrderOfEachProducerWhileWaitersGiveUp) {
  constexpr int kProducers = 3, kConsumers = 3;
  const int items = rounds(1000);
  ProcessQueue<std::pair<int, int>> queue{4};
  std::vector<std::vector<std::pair<int, int>>> taken(kConsumers);
  auto producers = world.spawn_many(kProducers, [&](int number) {
    for (int i = 0; i < items; ++i) {
      if (i % 3 == 0) {
        while (!queue.put_for({number, i}, 50us)) {
        }
      } else {
        queue.put({number, i});
      }
    }
  });
  auto consumers = world.spawn_many(kConsumers, [&](int number) {
    for (;;) {
      if (auto item = queue.get_for(number == 0 ? Duration{30us} : Duration{1h})) {
        taken[number].push_back(*item);
      } else if (queue.is_shut_down()) {
        return;
      }
    }
  });
  join_all(producers);
  queue.shutdown();
  join_all(consumers);
  std::size_t total = 0;
  for (const auto& one : taken) {
    std::vector<int> last(kProducers, -1);
    for (auto [producer, number] : one) {
      EXPECT_GT(number, last[producer]);
      last[producer] = number;
    }
    total += one.size();
  }
  EXPECT_EQ(total, static_cast<std::size_t>(kProducers * items));
}

WEFT_PROCESS_QUEUE_TEST(ASimpleQueueGivesAndWaits) {
  SimpleQueue<std::string> queue{"words"};
  EXPECT_STREQ(queue.name(), "words");
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(queue.try_get());
  Runner getter = world.spawn([&] {
    EXPECT_EQ(queue.get(), "one");
    EXPECT_EQ(queue.get_for(kPatience), "two");
  });
  ASSERT_TRUE(getter.soon_waits_in(WaitKind::Queue));
  queue.put("one");
  ASSERT_TRUE(eventually([&] { return queue.empty(); }));
  ASSERT_TRUE(getter.soon_waits_in(WaitKind::Queue));
  queue.put("two");
  EXPECT_EQ(getter.join(), Ending::Returned);
  EXPECT_EQ(queue.qsize(), 0u);
}

}  // namespace
}  // namespace weft::test
