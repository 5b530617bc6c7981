// Many at once, with short deadlines and kills: nothing is lost, doubled or out of order.

#include <gtest/gtest.h>

#include <weft/queue/select.hpp>
#include <weft/queue/simple_queue.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/semaphore.hpp>

#include "queue/kinds.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

class Stress : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(Stress);

/// Who put which items, and who took them. An item is the producer's number times kMany plus its own.
constexpr int kMany = 500'000'000;

class Ledger {
 public:
  Ledger(int producers, int consumers) : put_(producers, 0), taken_(consumers) {}

  /// The next item of a producer; counted as put when it says so.
  [[nodiscard]] int next(int producer) const { return producer * kMany + put_[producer]; }
  void has_put(int producer) { ++put_[producer]; }
  void has_taken(int consumer, int item) { taken_[consumer].push_back(item); }

  [[nodiscard]] std::size_t total() const {
    std::size_t sum = 0;
    for (int count : put_) sum += count;
    return sum;
  }

  /// Every item exactly once; and, if `ordered`, those of a producer in their order at each consumer.
  void check(bool ordered) const {
    std::vector<std::vector<int>> seen(put_.size());
    for (const auto& one : taken_) {
      std::vector<int> last(put_.size(), -1);
      for (int item : one) {
        const int producer = item / kMany;
        if (ordered) {
          EXPECT_GT(item % kMany, last[producer]);
        }
        last[producer] = item % kMany;
        seen[producer].push_back(item % kMany);
      }
    }
    for (std::size_t producer = 0; producer < put_.size(); ++producer) {
      std::sort(seen[producer].begin(), seen[producer].end());
      ASSERT_EQ(seen[producer].size(), static_cast<std::size_t>(put_[producer]));
      for (int i = 0; i < put_[producer]; ++i) ASSERT_EQ(seen[producer][i], i);
    }
  }

 private:
  std::vector<int> put_;
  std::vector<std::vector<int>> taken_;
};

Duration brief(Random& random) { return std::chrono::microseconds{random.below(80)}; }

// ---- one queue ------------------------------------------------------------------------------------------------------

WEFT_QUEUE_TEST(ConservesItemsUnderDeadlines) {
  constexpr int kProducers = 4, kConsumers = 4;
  const int items = rounds(1000);
  typename Kind::template Of<int> queue{3};
  Ledger ledger{kProducers, kConsumers};
  auto producers = world.spawn_many(kProducers, [&](int number) {
    Random random{static_cast<std::uint64_t>(number) + 1};
    for (int i = 0; i < items; ++i) {
      const int item = ledger.next(number);
      switch (random.below(4)) {
        case 0: Kind::put(queue, item); break;
        case 1: if (!Kind::try_put(queue, item)) continue; break;
        case 2: if (select(Kind::on_put(queue, item, [] {}), after(brief(random), [] {})) != 0) continue; break;
        default: if (!Kind::put_for(queue, item, brief(random))) continue;
      }
      ledger.has_put(number);
      if (random.below(50) == 0) yield();
    }
  });
  auto consumers = world.spawn_many(kConsumers, [&](int number) {
    Random random{static_cast<std::uint64_t>(number) + 100};
    bool ended = false;
    const auto take = [&](auto got) {
      ledger.has_taken(number, Kind::item(got));
      queue.task_done();
    };
    while (!ended) {
      switch (random.below(3)) {
        case 0:
          select(queue.on_get(take, [&] { ended = true; }), after(brief(random), [] {}));
          break;
        case 1:
          if (auto got = queue.get_until(Deadline::never())) take(std::move(*got));
          break;
        default:
          if (auto got = queue.get_for(brief(random))) take(std::move(*got));
      }
      ended = ended || (queue.is_shut_down() && queue.empty());
    }
  });
  join_all(producers);
  EXPECT_TRUE(queue.join_for(kPatience));
  queue.shutdown();
  join_all(consumers);
  ledger.check(std::is_same_v<Kind, Fifo>);
}

// Whoever is killed while it waits has neither put nor taken.
WEFT_QUEUE_TEST(ConservesItemsUnderKills) {
  constexpr int kProducers = 3, kConsumers = 3;
  typename Kind::template Of<int> queue{2};
  Ledger ledger{kProducers, kConsumers};
  const int lives = rounds(60);
  // One context at a time has each number: a killed one is followed by another.
  const auto live_many_lives = [&](std::uint64_t seed, const std::function<void()>& life) {
    Random random{seed};
    for (int i = 0; i < lives; ++i) {
      Runner runner = world.spawn(life);
      if (random.below(2) == 0) yield();
      if (random.below(2) == 0) sleep_for(brief(random));
      runner.kill();
      EXPECT_NE(runner.join(), Ending::Threw);
    }
  };
  auto producers = world.spawn_many(kProducers, [&](int number) {
    live_many_lives(number + 1, [&, number] {
      for (int i = 0; i < 300; ++i) {
        Kind::put(queue, ledger.next(number));
        ledger.has_put(number);
      }
    });
  });
  auto consumers = world.spawn_many(kConsumers, [&](int number) {
    const std::function<void()> consume = [&, number] {
      Event never;
      while (auto got = queue.get_until(Deadline::never())) {
        ledger.has_taken(number, Kind::item(*got));
        bool ended = false;
        select(never.on_set([] {}), queue.on_get([&](auto next) { ledger.has_taken(number, Kind::item(next)); },
                                                 [&] { ended = true; }));
        if (ended) return;
      }
    };
    live_many_lives(number + 50, consume);
    world.spawn(consume).join();  // until the end
  });
  join_all(producers);
  queue.shutdown();
  join_all(consumers);
  ledger.check(std::is_same_v<Kind, Fifo>);
}

// ---- several objects ------------------------------------------------------------------------------------------------

TEST_P(Stress, SelectorsAndProducersConserveItems) {
  in_world([](World& world) {
    constexpr int kQueues = 3, kProducers = 3, kConsumers = 4;
    const int items = rounds(1500);
    std::vector<std::unique_ptr<Queue<int>>> queues;
    for (int i = 0; i < kQueues; ++i) queues.push_back(std::make_unique<Queue<int>>(i + 1));
    Ledger ledger{kProducers, kConsumers};
    Event over;
    auto producers = world.spawn_many(kProducers, [&](int number) {
      Random random{static_cast<std::uint64_t>(number) + 1};
      for (int i = 0; i < items; ++i) {
        const int item = ledger.next(number);
        if (random.below(2) == 0) {
          queues[random.below(kQueues)]->put(item);
        } else {
          select(queues[0]->on_put(item, [] {}), queues[1]->on_put(item, [] {}), queues[2]->on_put(item, [] {}));
        }
        ledger.has_put(number);
      }
    });
    auto consumers = world.spawn_many(kConsumers, [&](int number) {
      Random random{static_cast<std::uint64_t>(number) + 100};
      const auto take = [&](int item) { ledger.has_taken(number, item); };
      for (bool ended = false; !ended;) {
        if (random.below(4) == 0) {
          if (auto got = queues[random.below(kQueues)]->get_for(brief(random))) take(*got);
        } else {
          select(queues[0]->on_get(take), queues[1]->on_get(take), queues[2]->on_get(take),
                 over.on_set([&] { ended = true; }), after(brief(random) * 20, [] {}));
        }
      }
      for (auto& queue : queues) {
        while (auto got = queue->try_get()) take(*got);
      }
    });
    join_all(producers);
    over.set();
    join_all(consumers);
    ledger.check(false);
  });
}

TEST_P(Stress, NoMoreAreInsideThanThereArePermitsThoughOthersSelect) {
  in_world([](World& world) {
    Semaphore seats{2};
    Queue<int> other{1};
    std::atomic<int> inside{0};
    std::atomic<int> sat{0};
    auto runners = world.spawn_many(6, [&](int number) {
      Random random{static_cast<std::uint64_t>(number) + 1};
      const auto sit = [&] {
        EXPECT_LE(++inside, 2);
        if (random.below(3) == 0) yield();
        --inside;
        ++sat;
        seats.release();
      };
      for (int i = 0; i < rounds(400); ++i) {
        switch (random.below(3)) {
          case 0: select(seats.on_acquire(sit), other.on_get([](int) {}), after(brief(random), [] {})); break;
          case 1: select(other.on_put(1, [] {}), seats.on_acquire(sit), otherwise([] {})); break;
          default:
            if (seats.try_acquire_for(brief(random))) sit();
        }
      }
    });
    join_all(runners);
    EXPECT_EQ(seats.value(), 2u);
    EXPECT_GT(sat, 0);
  });
}

TEST_P(Stress, KilledSelectorsLoseNothing) {
  in_world([](World& world) {
    Queue<int> queue{2};
    Semaphore semaphore{0};
    constexpr int kItems = 300;
    std::atomic<long> sum{0};
    std::atomic<int> acquired{0};
    std::atomic<bool> over{false};
    Runner producer = world.spawn([&] {
      for (int i = 0; i < kItems; ++i) {
        queue.put(i);
        semaphore.release();
      }
    });
    auto killers = world.spawn_many(2, [&](int number) {
      Random random{static_cast<std::uint64_t>(number) + 1};
      while (!over) {
        Runner victim = world.spawn([&] {
          for (;;) select(queue.on_get([&](int item) { sum += item; }), semaphore.on_acquire([&] { ++acquired; }));
        });
        if (random.below(2) == 0) yield();
        sleep_for(brief(random));
        victim.kill();
        victim.join();
      }
    });
    producer.join();
    EXPECT_TRUE(eventually([&] { return queue.empty() && semaphore.value() == 0; }));
    over = true;
    join_all(killers);
    EXPECT_EQ(sum, long{kItems} * (kItems - 1) / 2);
    EXPECT_EQ(acquired, kItems);
  });
}

TEST_P(Stress, SimpleQueueConservesItemsAndTheirOrder) {
  in_world([](World& world) {
    constexpr int kProducers = 4, kConsumers = 3;
    const int items = rounds(1500);
    SimpleQueue<int> queue;
    Ledger ledger{kProducers, kConsumers};
    Event over;
    auto producers = world.spawn_many(kProducers, [&](int number) {
      for (int i = 0; i < items; ++i) {
        queue.put(ledger.next(number));
        ledger.has_put(number);
        if (i % 64 == 0) yield();
      }
    });
    auto consumers = world.spawn_many(kConsumers, [&](int number) {
      Random random{static_cast<std::uint64_t>(number) + 100};
      for (bool ended = false; !ended;) {
        if (random.below(2) == 0) {
          if (auto got = queue.get_for(brief(random))) ledger.has_taken(number, *got);
        } else {
          select(queue.on_get([&](int item) { ledger.has_taken(number, item); }), over.on_set([&] { ended = true; }));
        }
      }
      while (auto got = queue.try_get()) ledger.has_taken(number, *got);
    });
    join_all(producers);
    over.set();
    join_all(consumers);
    ledger.check(true);
  });
}

}  // namespace
}  // namespace weft::test
