#include <weft/queue/queue.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include <weft/fiber/runtime.hpp>
#include <weft/fiber/this_fiber.hpp>

using namespace std::chrono_literals;

namespace {

constexpr auto kSoon = 20s;

TEST(Queue, GivesItemsInTheOrderTheyWerePut) {
  weft::Queue<int> queue;
  for (int i = 0; i < 1000; ++i) queue.put(i);
  EXPECT_EQ(queue.qsize(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(queue.get(), i);
  EXPECT_TRUE(queue.empty());
}

TEST(Queue, TheTwentyFirstPutIntoTwentyWaitsUntilAGet) {
  weft::Queue<int> queue{20};
  for (int i = 0; i < 20; ++i) queue.put(i);
  EXPECT_TRUE(queue.full());
  int extra = 20;
  EXPECT_FALSE(queue.try_put(std::move(extra)));
  EXPECT_FALSE(queue.put_for(21, 10ms));
  weft::Runtime runtime{{.workers = 2}};
  auto putter = runtime.spawn([&] { queue.put(20); });
  EXPECT_FALSE(putter.join_for(20ms));
  EXPECT_EQ(queue.get(), 0);
  EXPECT_TRUE(putter.join_for(kSoon));
  for (int i = 1; i <= 20; ++i) EXPECT_EQ(queue.get(), i);
}

TEST(Queue, IsExactFromACapacityOfOne) {
  weft::Queue<int> queue{1};
  queue.put(1);
  EXPECT_TRUE(queue.full());
  EXPECT_EQ(queue.get(), 1);
  EXPECT_FALSE(queue.try_get().has_value());
}

TEST(Queue, AGetThatWaitedTooLongTakesNothing) {
  weft::Queue<int> queue;
  const auto before = weft::Clock::now();
  EXPECT_FALSE(queue.get_for(20ms).has_value());
  EXPECT_GE(weft::Clock::now() - before, 20ms);
  queue.put(1);
  EXPECT_EQ(queue.qsize(), 1U);
}

TEST(Queue, ATimedOutPutLeavesTheItemWithTheCaller) {
  weft::Queue<std::unique_ptr<int>> queue{1};
  queue.put(std::make_unique<int>(1));
  auto second = std::make_unique<int>(2);
  EXPECT_FALSE(queue.put_for(std::move(second), 5ms));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(*second, 2);
}

TEST(Queue, JoinWaitsForATaskDonePerItem) {
  weft::Queue<int> queue;
  for (int i = 0; i < 3; ++i) queue.put(i);
  EXPECT_FALSE(queue.join_for(5ms));
  for (int i = 0; i < 3; ++i) {
    (void)queue.get();
    EXPECT_FALSE(queue.join_for(1ms));
    queue.task_done();
  }
  EXPECT_TRUE(queue.join_for(kSoon));
  EXPECT_THROW(queue.task_done(), weft::InvalidStateError);
}

TEST(Queue, AfterAGentleShutdownWhatIsThereMayStillBeTaken) {
  weft::Queue<int> queue;
  queue.put(1);
  queue.shutdown();
  EXPECT_TRUE(queue.is_shut_down());
  EXPECT_THROW(queue.put(2), weft::ShutDown);
  EXPECT_EQ(queue.get(), 1);
  EXPECT_THROW(queue.get(), weft::ShutDown);
  EXPECT_FALSE(queue.get_for(1h).has_value());
}

TEST(Queue, AnImmediateShutdownDropsTheItemsAndEndsJoin) {
  weft::Queue<std::shared_ptr<int>> queue;
  auto item = std::make_shared<int>(1);
  queue.put(item);
  queue.shutdown(true);
  EXPECT_EQ(item.use_count(), 1);
  EXPECT_TRUE(queue.join_for(kSoon));
  EXPECT_THROW(queue.get(), weft::ShutDown);
}

TEST(Queue, ShutdownWakesAllWhoWait) {
  weft::Runtime runtime{{.workers = 2}};
  weft::Queue<int> empty;
  weft::Queue<int> full{1};
  full.put(0);
  auto getter = runtime.spawn([&] { EXPECT_THROW(empty.get(), weft::ShutDown); });
  auto putter = runtime.spawn([&] { EXPECT_THROW(full.put(1), weft::ShutDown); });
  EXPECT_FALSE(getter.join_for(20ms));
  empty.shutdown();
  full.shutdown();
  EXPECT_TRUE(getter.join_for(kSoon));
  EXPECT_TRUE(putter.join_for(kSoon));
}

/// Its third move throws.
struct Fragile {
  int value = 0;
  int* moves = nullptr;
  Fragile(int v, int* m) : value{v}, moves{m} {}
  Fragile(Fragile&& other) : value{other.value}, moves{other.moves} {
    if (moves && ++*moves == 3) throw std::runtime_error{"moved once too often"};
  }
};

TEST(Queue, AThrowingMoveLosesNothing) {
  int moves = 0;
  weft::Queue<Fragile> queue{4};
  queue.put(Fragile{1, nullptr});
  moves = 2;
  Fragile second{2, &moves};
  EXPECT_THROW((void)queue.try_put(std::move(second)), std::runtime_error);
  EXPECT_EQ(second.value, 2);
  EXPECT_EQ(queue.qsize(), 1U);
  EXPECT_TRUE(queue.try_put(std::move(second)));
  EXPECT_EQ(queue.get().value, 1);
  EXPECT_EQ(queue.get().value, 2);
}

class QueueStress : public testing::TestWithParam<unsigned> {};

TEST_P(QueueStress, ConservesItemsAndTheOrderOfEachProducer) {
  constexpr int kProducers = 3, kConsumers = 3, kItems = 4000;
  weft::Runtime runtime{{.workers = GetParam()}};
  weft::Queue<std::pair<int, int>> queue{4};
  std::vector<std::vector<std::pair<int, int>>> taken(kConsumers);
  runtime.run([&] {
    std::vector<weft::Fiber<void>> producers;
    std::vector<weft::Fiber<void>> consumers;
    for (int p = 0; p < kProducers; ++p) {
      producers.push_back(weft::spawn([&, p] {
        for (int i = 0; i < kItems; ++i) {
          if (i % 3 == 0) {
            while (!queue.put_for(std::pair{p, i}, 50us)) {
            }
          } else {
            queue.put({p, i});
          }
        }
      }));
    }
    for (int c = 0; c < kConsumers; ++c) {
      consumers.push_back(weft::spawn([&, c] {
        for (;;) {
          auto item = queue.get_for(c == 0 ? 30us : 1h);
          if (item) {
            taken[c].push_back(*item);
            queue.task_done();
          } else if (queue.is_shut_down()) {
            return;
          }
        }
      }));
    }
    weft::join_all(producers);
    queue.join();
    queue.shutdown();
    weft::join_all(consumers);
  });
  std::size_t total = 0;
  for (const auto& one : taken) {
    std::vector<int> last(kProducers, -1);
    for (auto [producer, number] : one) {
      EXPECT_GT(number, last[producer]);
      last[producer] = number;
    }
    total += one.size();
  }
  EXPECT_EQ(total, static_cast<std::size_t>(kProducers * kItems));
}

TEST_P(QueueStress, KilledWaitersLoseNoItem) {
  weft::Runtime runtime{{.workers = GetParam()}};
  weft::Queue<int> queue{2};
  long sum = 0;
  int taken_by_victims = 0;
  std::atomic<long> victims_sum{0};
  std::atomic<int> victims_count{0};
  constexpr int kItems = 2000;
  runtime.run([&] {
    auto producer = weft::spawn([&] {
      for (int i = 0; i < kItems; ++i) queue.put(i);
      queue.shutdown();
    });
    auto reaper = weft::spawn([&] {
      for (int i = 0; i < 500; ++i) {
        auto victim = weft::spawn([&] {
          for (;;) {
            auto item = queue.get_until(weft::Deadline::never());
            if (!item) return;
            victims_sum += *item;
            ++victims_count;
          }
        });
        weft::yield();
        victim.kill();
        victim.join();
      }
    });
    reaper.join();
    int count = 0;
    while (auto item = queue.get_until(weft::Deadline::never())) {
      sum += *item;
      ++count;
    }
    producer.join();
    taken_by_victims = victims_count;
    EXPECT_EQ(count + taken_by_victims, kItems);
  });
  EXPECT_EQ(sum + victims_sum, long{kItems} * (kItems - 1) / 2);
}

INSTANTIATE_TEST_SUITE_P(Workers, QueueStress, testing::Values(1U, 2U, 4U));

TEST(Queue, ServesThreadsAndFibersTogether) {
  weft::Runtime runtime{{.workers = 2}};
  weft::Queue<int> queue{3};
  std::thread producer{[&] {
    for (int i = 1; i <= 5000; ++i) queue.put(i);
    queue.shutdown();
  }};
  auto consume = [&] {
    long sum = 0;
    while (auto item = queue.get_until(weft::Deadline::never())) sum += *item;
    return sum;
  };
  auto fiber = runtime.spawn(consume);
  const long here = consume();
  producer.join();
  EXPECT_EQ(here + fiber.get(), 5000L * 5001 / 2);
}

}  // namespace
