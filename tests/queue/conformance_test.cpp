#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include <weft/base/error.hpp>

#include "queue/kinds.hpp"
#include "support/stress.hpp"

// After BaseQueueTestMixin of CPython's Lib/test/test_queue.py, and what weft promises beyond it.
namespace weft::test {
namespace {

using detail::WaitKind;

WEFT_IN_EVERY_WORLD(FifoConformance);
WEFT_IN_EVERY_WORLD(LifoConformance);
WEFT_IN_EVERY_WORLD(PriorityConformance);

// ---- one after the other --------------------------------------------------------------------------------------------

WEFT_QUEUE_TEST(IsEmptyAtFirstAndCountsItsItems) {
  typename Kind::template Of<int> queue{3, "jobs"};
  EXPECT_STREQ(queue.name(), "jobs");
  EXPECT_EQ(queue.maxsize(), 3u);
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(queue.full());
  for (std::size_t i = 1; i <= 3; ++i) {
    Kind::put(queue, 7);
    EXPECT_EQ(queue.qsize(), i);
    EXPECT_FALSE(queue.empty());
    EXPECT_EQ(queue.full(), i == 3);
  }
  (void)queue.get();
  EXPECT_EQ(queue.qsize(), 2u);
  EXPECT_FALSE(queue.full());
}

WEFT_QUEUE_TEST(GivesItemsInItsOrder) {
  typename Kind::template Of<int> queue;
  const std::vector<int> items{111, 333, 222, 5, 444, 1};
  for (int item : items) Kind::put(queue, item);
  EXPECT_EQ(drain<Kind>(queue), Kind::order(items));
  // Again, around the end of the memory it has now, and while it grows.
  std::vector<int> many;
  for (int i = 0; i < 100; ++i) many.push_back(i * 37 % 101);
  for (int item : many) Kind::put(queue, item);
  EXPECT_EQ(drain<Kind>(queue), Kind::order(many));
}

WEFT_QUEUE_TEST(WithoutABoundIsNeverFull) {
  typename Kind::template Of<int> queue{0};
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(Kind::try_put(queue, i));
  EXPECT_FALSE(queue.full());
  EXPECT_EQ(queue.maxsize(), 0u);
  EXPECT_EQ(queue.qsize(), 2000u);
}

WEFT_QUEUE_TEST(AFullQueueRefusesAPutThatDoesNotWait) {
  typename Kind::template Of<int> queue{2};
  Kind::put(queue, 1);
  EXPECT_TRUE(Kind::try_put(queue, 2));
  EXPECT_FALSE(Kind::try_put(queue, 3));
  const Stopwatch watch;
  EXPECT_FALSE(Kind::put_for(queue, 3, 20ms));
  EXPECT_GE(watch.elapsed(), 20ms);
  EXPECT_FALSE(Kind::put_for(queue, 3, 0ms));
  EXPECT_FALSE(Kind::put_for(queue, 3, -1s));
  EXPECT_EQ(drain<Kind>(queue), Kind::order({1, 2}));
}

WEFT_QUEUE_TEST(AnEmptyQueueRefusesAGetThatDoesNotWait) {
  typename Kind::template Of<int> queue{2};
  EXPECT_FALSE(queue.try_get());
  const Stopwatch watch;
  EXPECT_FALSE(queue.get_for(20ms));
  EXPECT_GE(watch.elapsed(), 20ms);
  EXPECT_FALSE(queue.get_for(-1s));
  EXPECT_FALSE(queue.get_until(Deadline::already()));
  EXPECT_FALSE(queue.get_until(Clock::now() + 1ms));
  Kind::put(queue, 1);
  EXPECT_TRUE(queue.get_for(0s));
}

// ---- waiting --------------------------------------------------------------------------------------------------------

WEFT_QUEUE_TEST(GetWaitsForAPut) {
  typename Kind::template Of<int> queue{2};
  Runner getter = world.spawn([&] {
    auto got = queue.get();
    EXPECT_EQ(Kind::item(got), 1);
    auto next = queue.get_for(kPatience);
    ASSERT_TRUE(next);
    EXPECT_EQ(Kind::item(*next), 2);
  });
  for (int i = 1; i <= 2; ++i) {
    ASSERT_TRUE(getter.soon_waits_in(WaitKind::Queue));
    Kind::put(queue, i);
    // Given to whoever waited: it is in no queue any more.
    EXPECT_TRUE(queue.empty());
  }
  EXPECT_EQ(getter.join(), Ending::Returned);
}

WEFT_QUEUE_TEST(PutWaitsForAGet) {
  typename Kind::template Of<int> queue{2};
  Kind::put(queue, 1);
  Kind::put(queue, 2);
  Runner putter = world.spawn([&] {
    Kind::put(queue, 3);
    EXPECT_TRUE(Kind::put_for(queue, 4, kPatience));
  });
  std::vector<int> taken;
  for (int i = 1; i <= 2; ++i) {
    ASSERT_TRUE(putter.soon_waits_in(WaitKind::Queue));
    auto got = queue.get();
    taken.push_back(Kind::item(got));
    EXPECT_TRUE(queue.full());  // with what waited
  }
  EXPECT_EQ(putter.join(), Ending::Returned);
  for (int rest : drain<Kind>(queue)) taken.push_back(rest);
  std::sort(taken.begin(), taken.end());
  EXPECT_EQ(taken, (std::vector{1, 2, 3, 4}));
}

WEFT_QUEUE_TEST(ServesGettersOldestFirst) {
  typename Kind::template Of<int> queue;
  std::vector<int> got(5);
  std::vector<Runner> getters;
  for (int i = 0; i < 5; ++i) {
    getters.push_back(world.spawn([&, i] {
      auto item = queue.get();
      got[i] = Kind::item(item);
    }));
    ASSERT_TRUE(getters.back().soon_waits_in(WaitKind::Queue));
  }
  for (int i = 0; i < 5; ++i) {
    Kind::put(queue, 10 + i);
    EXPECT_FALSE(queue.try_get());  // nobody passes them
  }
  join_all(getters);
  EXPECT_EQ(got, (std::vector{10, 11, 12, 13, 14}));
}

WEFT_QUEUE_TEST(ServesPuttersOldestFirst) {
  typename Kind::template Of<int> queue{1};
  Kind::put(queue, 0);
  std::vector<Runner> putters;
  for (int i = 1; i <= 4; ++i) {
    putters.push_back(world.spawn([&, i] { Kind::put(queue, i); }));
    ASSERT_TRUE(putters.back().soon_waits_in(WaitKind::Queue));
  }
  for (int i = 0; i <= 4; ++i) {
    auto got = queue.get();
    EXPECT_EQ(Kind::item(got), i);
    if (i < 4) {
      EXPECT_FALSE(Kind::try_put(queue, 99));  // nobody passes them
    }
  }
  join_all(putters);
  EXPECT_TRUE(queue.empty());
}

WEFT_QUEUE_TEST(GetIsACancellationPointThatLosesNoItem) {
  typename Kind::template Of<int> queue;
  auto getters = world.spawn_many(3, [&](int number) {
    if (number == 1) (void)queue.get();
    (void)queue.get_for(1h);
  });
  ASSERT_TRUE(soon_all_wait_in(getters, WaitKind::Queue));
  getters[0].kill();
  getters[1].kill();
  EXPECT_EQ(getters[0].join(), Ending::Cancelled);
  EXPECT_EQ(getters[1].join(), Ending::Cancelled);
  Kind::put(queue, 1);
  EXPECT_EQ(getters[2].join(), Ending::Returned);
  EXPECT_TRUE(queue.empty());
}

WEFT_QUEUE_TEST(PutAndJoinAreCancellationPoints) {
  typename Kind::template Of<int> queue{1};
  Kind::put(queue, 1);
  Runner putter = world.spawn([&] { Kind::put(queue, 2); });
  Runner joiner = world.spawn([&] { queue.join(); });
  ASSERT_TRUE(putter.soon_waits_in(WaitKind::Queue));
  ASSERT_TRUE(joiner.soon_waits_in(WaitKind::Queue));
  putter.kill();
  joiner.kill();
  EXPECT_EQ(putter.join(), Ending::Cancelled);
  EXPECT_EQ(joiner.join(), Ending::Cancelled);
  EXPECT_EQ(drain<Kind>(queue), std::vector{1});
}

WEFT_QUEUE_TEST(MakesVisibleWhatPrecededThePut) {
  typename Kind::template Of<int> queue{4};
  std::vector<int> values(400);  // not atomic: ThreadSanitizer checks the order
  Runner reader = world.spawn([&] {
    for (int i = 0; i < 400; ++i) {
      auto got = queue.get();
      EXPECT_EQ(values[Kind::item(got)], Kind::item(got) * 3);
    }
  });
  for (int i = 0; i < 400; ++i) {
    values[i] = i * 3;
    Kind::put(queue, i);
  }
  reader.join();
}

// ---- open tasks -----------------------------------------------------------------------------------------------------

WEFT_QUEUE_TEST(JoinWaitsForATaskDoneOfEachItem) {
  typename Kind::template Of<int> queue;
  queue.join();  // nothing has been put
  std::atomic<int> sum{0};
  std::atomic<int> started{0};
  auto workers = world.spawn_many(2, [&](int) {
    for (;;) {
      auto got = queue.get();
      if (Kind::item(got) < 0) {
        queue.task_done();
        return;
      }
      ++started;
      sum += Kind::item(got);
      queue.task_done();
    }
  });
  for (int round = 1; round <= 2; ++round) {
    for (int i = 0; i < 100; ++i) Kind::put(queue, i);
    queue.join();
    EXPECT_EQ(sum, round * 4950);
    EXPECT_EQ(started, round * 100);
  }
  Kind::put(queue, -1);
  Kind::put(queue, -1);
  queue.join();
  join_all(workers);
}

WEFT_QUEUE_TEST(TimedJoinTellsWhetherAllWasDone) {
  typename Kind::template Of<int> queue;
  EXPECT_TRUE(queue.join_for(0s));
  Kind::put(queue, 1);
  EXPECT_FALSE(queue.join_for(5ms));
  (void)queue.get();
  EXPECT_FALSE(queue.join_until(Clock::now() + 5ms));  // taken, but not done
  auto joiners = world.spawn_many(3, [&](int) { EXPECT_TRUE(queue.join_for(kPatience)); });
  ASSERT_TRUE(soon_all_wait_in(joiners, WaitKind::Queue));
  queue.task_done();
  join_all(joiners);
}

WEFT_QUEUE_TEST(OneTaskDoneTooManyIsAnError) {
  typename Kind::template Of<int> queue;
  EXPECT_THROW(queue.task_done(), InvalidStateError);
  Kind::put(queue, 1);
  queue.task_done();
  EXPECT_THROW(queue.task_done(), InvalidStateError);
  EXPECT_EQ(queue.qsize(), 1u);
}

WEFT_QUEUE_TEST(HandedOverItemsCountAsOpenTasks) {
  typename Kind::template Of<int> queue{1};
  Runner getter = world.spawn([&] { (void)queue.get(); });
  ASSERT_TRUE(getter.soon_waits_in(WaitKind::Queue));
  Kind::put(queue, 1);  // to the getter
  getter.join();
  Kind::put(queue, 2);
  Runner putter = world.spawn([&] { Kind::put(queue, 3); });
  ASSERT_TRUE(putter.soon_waits_in(WaitKind::Queue));
  (void)queue.get();  // lets the putter's in
  putter.join();
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(queue.join_for(0s));
    queue.task_done();
  }
  EXPECT_TRUE(queue.join_for(0s));
}

// ---- the end --------------------------------------------------------------------------------------------------------

WEFT_QUEUE_TEST(ShutDownWhileEmptyNothingWorksAnyMore) {
  typename Kind::template Of<int> queue{2};
  EXPECT_FALSE(queue.is_shut_down());
  queue.shutdown();
  EXPECT_TRUE(queue.is_shut_down());
  EXPECT_THROW(Kind::put(queue, 1), ShutDown);
  EXPECT_THROW((void)Kind::try_put(queue, 1), ShutDown);
  EXPECT_THROW((void)Kind::put_for(queue, 1, 1h), ShutDown);
  EXPECT_THROW((void)queue.get(), ShutDown);
  EXPECT_FALSE(queue.try_get());
  EXPECT_FALSE(queue.get_for(1h));
  EXPECT_TRUE(queue.join_for(0s));
  EXPECT_THROW(queue.task_done(), InvalidStateError);
}

WEFT_QUEUE_TEST(AGentleShutdownLetsTheRestBeTaken) {
  typename Kind::template Of<int> queue{2};
  Kind::put(queue, 1);
  Kind::put(queue, 2);
  queue.shutdown();
  EXPECT_THROW(Kind::put(queue, 3), ShutDown);  // though full: it does not wait
  EXPECT_FALSE(queue.join_for(1ms));
  EXPECT_EQ(drain<Kind>(queue), Kind::order({1, 2}));
  EXPECT_THROW((void)queue.get(), ShutDown);
  queue.task_done();
  queue.task_done();
  EXPECT_TRUE(queue.join_for(0s));
}

WEFT_QUEUE_TEST(AnImmediateShutdownDropsTheRest) {
  typename Kind::template Of<int> queue{4};
  for (int i = 0; i < 4; ++i) Kind::put(queue, i);
  (void)queue.get();
  queue.shutdown(true);
  EXPECT_EQ(queue.qsize(), 0u);
  EXPECT_FALSE(queue.try_get());
  EXPECT_THROW((void)queue.get(), ShutDown);
  EXPECT_FALSE(queue.join_for(1ms));  // the one that was taken is not done yet
  queue.task_done();
  EXPECT_TRUE(queue.join_for(0s));
  EXPECT_THROW(queue.task_done(), InvalidStateError);
}

WEFT_QUEUE_TEST(TasksDoneInAdvanceAreNotSubtractedTwice) {
  typename Kind::template Of<int> queue;
  for (int i = 0; i < 3; ++i) Kind::put(queue, i);
  queue.task_done();
  queue.task_done();
  queue.shutdown(true);
  EXPECT_TRUE(queue.join_for(0s));
  EXPECT_THROW(queue.task_done(), InvalidStateError);
}

WEFT_QUEUE_TEST(ShutdownMayBeRepeatedAndBecomeImmediate) {
  typename Kind::template Of<int> queue;
  Kind::put(queue, 1);
  queue.shutdown();
  queue.shutdown();
  EXPECT_EQ(queue.qsize(), 1u);
  queue.shutdown(true);
  EXPECT_EQ(queue.qsize(), 0u);
  queue.shutdown();  // it does not come back
  EXPECT_THROW((void)queue.get(), ShutDown);
}

WEFT_QUEUE_TEST(ShutdownWakesGetters) {
  for (const bool immediate : {false, true}) {
    typename Kind::template Of<int> queue;
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

WEFT_QUEUE_TEST(ShutdownWakesPuttersWhoseItemsStayOutside) {
  for (const bool immediate : {false, true}) {
    typename Kind::template Of<int> queue{1};
    Kind::put(queue, 0);
    auto putters = world.spawn_many(4, [&](int number) {
      if (number % 2 == 0) {
        EXPECT_THROW(Kind::put(queue, 1), ShutDown);
      } else {
        EXPECT_THROW((void)Kind::put_for(queue, 1, 1h), ShutDown);
      }
    });
    ASSERT_TRUE(soon_all_wait_in(putters, WaitKind::Queue));
    queue.shutdown(immediate);
    join_all(putters);
    EXPECT_EQ(queue.qsize(), immediate ? 0u : 1u);
  }
}

WEFT_QUEUE_TEST(OnlyAnImmediateShutdownEndsJoin) {
  typename Kind::template Of<int> queue;
  Kind::put(queue, 0);
  Runner joiner = world.spawn([&] { queue.join(); });
  ASSERT_TRUE(joiner.soon_waits_in(WaitKind::Queue));
  queue.shutdown();
  EXPECT_FALSE(joiner.done());
  EXPECT_TRUE(joiner.soon_waits_in(WaitKind::Queue));
  queue.shutdown(true);
  EXPECT_EQ(joiner.join(), Ending::Returned);
}

WEFT_QUEUE_TEST(WhatWasPutBeforeAGentleShutdownIsTakenByMany) {
  typename Kind::template Of<int> queue{8};
  std::atomic<int> taken{0};
  std::atomic<int> put{0};
  auto putters = world.spawn_many(3, [&](int) {
    try {
      for (int i = 0;; ++i) {
        Kind::put(queue, i);
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

// ---- items ----------------------------------------------------------------------------------------------------------

/// Can only be moved.
struct Unique {
  explicit Unique(int number) : value{std::make_unique<int>(number)} {}
  operator int() const { return *value; }
  std::unique_ptr<int> value;
};

WEFT_QUEUE_TEST(TakesItemsThatCanOnlyBeMoved) {
  typename Kind::template Of<Unique> queue{2};
  Kind::put(queue, 1);
  Kind::put(queue, 2);
  EXPECT_FALSE(Kind::try_put(queue, 3));
  Runner putter = world.spawn([&] { Kind::put(queue, 3); });
  ASSERT_TRUE(putter.soon_waits_in(WaitKind::Queue));
  std::vector<int> taken = drain<Kind>(queue);
  putter.join();
  std::sort(taken.begin(), taken.end());
  EXPECT_EQ(taken, (std::vector{1, 2, 3}));
  Kind::put(queue, 4);  // destroyed with the queue
}

/// Moving it throws, in the context that has said so.
struct Fragile {
  inline static std::atomic<std::uint64_t> where{0};
  inline static std::atomic<int> moves_left{0};
  int value;

  explicit Fragile(int number) : value{number} {}
  Fragile(Fragile&& other) : value{other.value} {
    if (where == detail::current_context_id() && moves_left-- == 0) throw std::runtime_error{"too fragile"};
    other.value = -1;
  }
  operator int() const { return value; }
};

/// The move after so many of the calling context throws. Of one context at a time.
struct FragileFor {
  explicit FragileFor(int moves) {
    Fragile::moves_left = moves;
    Fragile::where = detail::current_context_id();
  }
  FragileFor(const FragileFor&) = delete;
  FragileFor& operator=(const FragileFor&) = delete;
  ~FragileFor() { Fragile::where = 0; }
};

WEFT_QUEUE_TEST(AThrowingMoveIntoTheQueueChangesNothing) {
  typename Kind::template Of<Fragile> queue;
  std::vector<int> put;
  for (int i = 0; i < 40; ++i) {  // it grows meanwhile
    {
      const FragileFor none{0};
      EXPECT_THROW((void)Kind::try_put(queue, 1000), std::runtime_error);
    }
    EXPECT_EQ(queue.qsize(), static_cast<std::size_t>(i));
    put.push_back(i * 7 % 41);
    EXPECT_TRUE(Kind::try_put(queue, put.back()));
  }
  EXPECT_EQ(drain<Kind>(queue), Kind::order(put));
  for (int i = 0; i < 40; ++i) queue.task_done();
  EXPECT_THROW(queue.task_done(), InvalidStateError);
}

WEFT_QUEUE_TEST(AThrowingMoveOutOfTheQueueLeavesTheItemThere) {
  typename Kind::template Of<Fragile> queue;
  std::vector<int> put;
  for (int i = 0; i < 20; ++i) {
    put.push_back(i * 7 % 23);
    Kind::put(queue, put.back());
  }
  std::vector<int> taken;
  for (std::size_t left = 20; left > 0; --left) {
    {
      const FragileFor none{0};
      EXPECT_THROW((void)queue.try_get(), std::runtime_error);
    }
    EXPECT_EQ(queue.qsize(), left);
    auto got = queue.try_get();
    ASSERT_TRUE(got);
    taken.push_back(Kind::item(*got));
  }
  EXPECT_EQ(taken, Kind::order(put));
}

WEFT_QUEUE_TEST(AThrowingMoveToAWaitingGetterLeavesHimWaiting) {
  typename Kind::template Of<Fragile> queue;
  std::atomic<int> got{0};
  auto getters = world.spawn_many(2, [&](int) {
    auto item = queue.get();
    got += Kind::item(item);
  });
  ASSERT_TRUE(soon_all_wait_in(getters, WaitKind::Queue));
  for (int i = 0; i < 3; ++i) {
    bool threw = false;
    {
      const FragileFor none{0};
      try {
        (void)Kind::try_put(queue, 1000);
      } catch (const std::runtime_error&) {
        threw = true;
      }
    }
    EXPECT_TRUE(threw);
  }
  EXPECT_TRUE(queue.empty());
  Kind::put(queue, 1);
  Kind::put(queue, 2);
  join_all(getters);
  EXPECT_EQ(got, 3);
}

WEFT_QUEUE_TEST(AGetWhoseLastMoveThrowsLosesNothing) {
  typename Kind::template Of<Fragile> queue;
  for (int i = 0; i < 3; ++i) Kind::put(queue, 5);
  for (std::size_t left = 3; left > 0; --left) {
    {
      const FragileFor none{0};
      EXPECT_THROW((void)queue.get(), std::runtime_error);
    }
    EXPECT_EQ(queue.qsize(), left);
    const FragileFor more_than_one{1};  // it is moved only once, so that none remains that could lose it
    auto item = queue.get();
    EXPECT_EQ(Kind::item(item), 5);
  }
}

WEFT_QUEUE_TEST(AWaitingGetWhoseLastMoveThrowsLeavesTheItemToTheNext) {
  typename Kind::template Of<Fragile> queue;
  std::atomic<int> got{0};
  std::atomic<bool> threw{false};
  std::vector<Runner> getters;
  getters.push_back(world.spawn([&] {
    const FragileFor none{0};
    try {
      (void)queue.get();
    } catch (const std::runtime_error&) {
      threw = true;
    }
  }));
  ASSERT_TRUE(getters[0].soon_waits_in(WaitKind::Queue));
  getters.push_back(world.spawn([&] {
    auto item = queue.get();
    got = Kind::item(item);
  }));
  ASSERT_TRUE(getters[1].soon_waits_in(WaitKind::Queue));
  Kind::put(queue, 7);
  join_all(getters);
  EXPECT_TRUE(threw);
  EXPECT_EQ(got, 7);
  EXPECT_TRUE(queue.empty());
}

WEFT_QUEUE_TEST(WaitingGetsOfItemsWhoseMoveMayThrowEndWithTheQueue) {
  typename Kind::template Of<Fragile> queue;
  std::atomic<int> ended{0};
  auto getters = world.spawn_many(3, [&](int) {
    EXPECT_THROW((void)queue.get(), ShutDown);
    ++ended;
  });
  ASSERT_TRUE(soon_all_wait_in(getters, WaitKind::Queue));
  queue.shutdown();
  join_all(getters);
  EXPECT_EQ(ended, 3);
}

WEFT_QUEUE_TEST(ItemsWhoseMoveMayThrowAllArriveThroughGet) {
  constexpr int kItems = 300, kEach = 2;
  typename Kind::template Of<Fragile> queue{3};
  std::atomic<int> sum{0};
  auto getters = world.spawn_many(kEach, [&](int) {
    try {
      for (;;) {
        auto item = queue.get();
        sum += Kind::item(item);
      }
    } catch (const ShutDown&) {
    }
  });
  auto putters = world.spawn_many(kEach, [&](int) {
    for (int i = 1; i <= kItems; ++i) Kind::put(queue, i);
  });
  join_all(putters);
  queue.shutdown();
  join_all(getters);
  EXPECT_EQ(sum, kEach * kItems * (kItems + 1) / 2);
}

// A get whose room is refused by one putter's item must serve the next one.
WEFT_QUEUE_TEST(APutterWhoseItemThrowsDoesNotHoldUpTheNext) {
  typename Kind::template Of<Fragile> queue{1};
  Kind::put(queue, 0);
  std::vector<Runner> putters;
  for (int i = 1; i <= 2; ++i) {
    putters.push_back(world.spawn([&, i] { Kind::put(queue, i); }));
    ASSERT_TRUE(putters.back().soon_waits_in(WaitKind::Queue));
  }
  std::vector<int> taken;
  {
    const FragileFor first_putter{1};  // one move out, then his
    auto got = queue.try_get();
    ASSERT_TRUE(got);
    taken.push_back(Kind::item(*got));
  }
  for (int i = 0; i < 2; ++i) {
    auto got = queue.get_for(kPatience);
    ASSERT_TRUE(got);
    taken.push_back(Kind::item(*got));
  }
  join_all(putters);
  std::sort(taken.begin(), taken.end());
  EXPECT_EQ(taken, (std::vector{0, 1, 2}));
}

WEFT_QUEUE_TEST(DestroysWhatIsLeft) {
  auto counted = std::make_shared<int>(0);
  struct Shared {
    explicit Shared(int) {}
    std::shared_ptr<int> hold;
  };
  {
    typename Kind::template Of<Shared> queue;
    for (int i = 0; i < 5; ++i) Kind::put(queue, i);
    for (int i = 0; i < 5; ++i) {
      auto got = queue.get();
      Kind::item(got).hold = counted;
      if constexpr (requires { queue.put(std::move(got)); }) {
        queue.put(std::move(got));
      } else {
        queue.put(5 + i, std::move(got.item));
      }
    }
    EXPECT_GT(counted.use_count(), 1);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

}  // namespace
}  // namespace weft::test
