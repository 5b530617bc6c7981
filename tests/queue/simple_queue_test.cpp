#include <weft/queue/simple_queue.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <utility>

#include "support/world.hpp"

// After BaseSimpleQueueTest of CPython's Lib/test/test_queue.py.
namespace weft::test {
namespace {

using detail::WaitKind;

class SimpleQueueConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(SimpleQueueConformance);

TEST_P(SimpleQueueConformance, GivesItemsInTheOrderTheyWerePut) {
  in_world([](World&) {
    SimpleQueue<int> queue{"inbox"};
    EXPECT_STREQ(queue.name(), "inbox");
    EXPECT_TRUE(queue.empty());
    for (int i = 0; i < 500; ++i) queue.put(i);
    EXPECT_EQ(queue.qsize(), 500u);
    for (int i = 0; i < 500; ++i) EXPECT_EQ(queue.get(), i);
    EXPECT_TRUE(queue.empty());
    EXPECT_FALSE(queue.try_get());
    const Stopwatch watch;
    EXPECT_FALSE(queue.get_for(10ms));
    EXPECT_GE(watch.elapsed(), 10ms);
    EXPECT_FALSE(queue.get_until(Clock::now()));
  });
}

TEST_P(SimpleQueueConformance, GetWaitsForAPutAndIsServedOldestFirst) {
  in_world([](World& world) {
    SimpleQueue<std::unique_ptr<int>> queue;
    std::vector<int> got(4);
    std::vector<Runner> getters;
    for (int i = 0; i < 4; ++i) {
      getters.push_back(world.spawn([&, i] { got[i] = *queue.get(); }));
      ASSERT_TRUE(getters.back().soon_waits_in(WaitKind::Queue));
    }
    for (int i = 0; i < 4; ++i) queue.put(std::make_unique<int>(i));
    join_all(getters);
    EXPECT_EQ(got, (std::vector{0, 1, 2, 3}));
  });
}

TEST_P(SimpleQueueConformance, GetIsACancellationPoint) {
  in_world([](World& world) {
    SimpleQueue<int> queue;
    Runner getter = world.spawn([&] { (void)queue.get(); });
    ASSERT_TRUE(getter.soon_waits_in(WaitKind::Queue));
    getter.kill();
    EXPECT_EQ(getter.join(), Ending::Cancelled);
    queue.put(1);
    EXPECT_EQ(queue.get(), 1);
  });
}

TEST_P(SimpleQueueConformance, KeepsNoReferenceToWhatWasTaken) {
  in_world([](World&) {
    SimpleQueue<std::shared_ptr<int>> queue;
    auto item = std::make_shared<int>(1);
    queue.put(item);
    EXPECT_EQ(item.use_count(), 2);
    (void)queue.get();
    EXPECT_EQ(item.use_count(), 1);
    queue.put(item);
    (void)queue.try_get();
    EXPECT_EQ(item.use_count(), 1);
  });
}

/// An item that uses the queue while it is moved, and while it is destroyed.
struct Talkative {
  SimpleQueue<Talkative>* on_move = nullptr;
  SimpleQueue<Talkative>* on_end = nullptr;
  int number = 0;

  Talkative(int its_number) : number{its_number} {}
  Talkative(Talkative&& other)
      : on_move{std::exchange(other.on_move, nullptr)},
        on_end{std::exchange(other.on_end, nullptr)},
        number{std::exchange(other.number, 0)} {
    if (on_move) std::exchange(on_move, nullptr)->put(Talkative{100 + number});
  }
  ~Talkative() {
    if (on_end) on_end->put(Talkative{200 + number});
  }
};

TEST_P(SimpleQueueConformance, APutMayRunInsideAPutOrAGet) {
  in_world([](World& world) {
    SimpleQueue<Talkative> queue;
    Talkative first{1};
    first.on_move = &queue;
    queue.put(std::move(first));  // puts 101 while it is moved in
    Talkative second{2};
    second.on_end = &queue;
    queue.put(std::move(second));
    EXPECT_EQ(queue.qsize(), 3u);
    std::vector<int> got;
    for (int i = 0; i < 4; ++i) {
      Runner getter = world.spawn([&] { got.push_back(queue.get().number); });  // 2 puts 202 when it is destroyed
      getter.join();
    }
    EXPECT_EQ(got, (std::vector{101, 1, 2, 202}));
    EXPECT_TRUE(queue.empty());
  });
}

TEST_P(SimpleQueueConformance, AnItemMayWaitForTheQueueWhileItIsMoved) {
  in_world([](World& world) {
    struct Waits {
      SimpleQueue<Waits>* queue = nullptr;
      int number = 0;
      explicit Waits(int its_number) : number{its_number} {}
      Waits(Waits&& other) : queue{std::exchange(other.queue, nullptr)}, number{other.number} {
        if (queue) number += std::exchange(queue, nullptr)->get().number;
      }
    };
    SimpleQueue<Waits> queue;
    Runner putter = world.spawn([&] {
      Waits item{1};
      item.queue = &queue;
      queue.put(std::move(item));
    });
    ASSERT_TRUE(putter.soon_waits_in(WaitKind::Queue));
    queue.put(Waits{10});
    putter.join();
    EXPECT_EQ(queue.get().number, 11);
  });
}

TEST_P(SimpleQueueConformance, ItemsThatPutWhileTheQueueIsDestroyedAreDestroyedToo) {
  in_world([](World&) {
    auto counted = std::make_shared<int>(0);
    struct Last {
      SimpleQueue<Last>* queue = nullptr;
      std::shared_ptr<int> hold;
      int left = 0;
      Last(SimpleQueue<Last>* its_queue, std::shared_ptr<int> held, int rest)
          : queue{its_queue}, hold{std::move(held)}, left{rest} {}
      Last(Last&& other) noexcept
          : queue{std::exchange(other.queue, nullptr)}, hold{std::move(other.hold)}, left{other.left} {}
      ~Last() {
        if (queue && left > 0) queue->put(Last{queue, hold, left - 1});
      }
    };
    {
      SimpleQueue<Last> queue;
      queue.put(Last{&queue, counted, 5});
    }
    EXPECT_EQ(counted.use_count(), 1);
  });
}

TEST_P(SimpleQueueConformance, AThrowingMoveLeavesTheItemWithThePutter) {
  in_world([](World&) {
    struct Fragile {
      bool fragile = true;
      int number = 0;
      explicit Fragile(int its_number) : number{its_number} {}
      Fragile(Fragile&& other) : fragile{other.fragile}, number{other.number} {
        if (fragile) throw std::runtime_error{"too fragile"};
      }
    };
    SimpleQueue<Fragile> queue;
    Fragile item{1};
    EXPECT_THROW(queue.put(std::move(item)), std::runtime_error);
    EXPECT_TRUE(queue.empty());
    item.fragile = false;
    queue.put(std::move(item));
    EXPECT_EQ(queue.get().number, 1);
  });
}

TEST_P(SimpleQueueConformance, AThrowingMoveOutOfTheQueueLeavesTheItemFirst) {
  in_world([](World&) {
    struct Fragile {
      int* whole;
      int number;
      Fragile(int* moves_before_it_breaks, int its_number) : whole{moves_before_it_breaks}, number{its_number} {}
      Fragile(Fragile&& other) : whole{other.whole}, number{other.number} {
        if ((*whole)-- == 0) throw std::runtime_error{"too fragile"};
      }
    };
    int plenty = 1000, once = 2;  // the argument, and into the queue
    SimpleQueue<Fragile> queue;
    Fragile first{&once, 1};
    queue.put(Fragile{&plenty, 0});
    (void)queue.get();
    queue.put(std::move(first));
    queue.put(Fragile{&plenty, 2});
    EXPECT_THROW((void)queue.get(), std::runtime_error);
    EXPECT_EQ(queue.qsize(), 2U);
    once = 0;
    EXPECT_THROW((void)queue.try_get(), std::runtime_error);
    EXPECT_EQ(queue.qsize(), 2U);
    once = 1000;
    EXPECT_EQ(queue.get().number, 1);
    EXPECT_EQ(queue.get().number, 2);
  });
}

}  // namespace
}  // namespace weft::test
