#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/detail/byte_queue.hpp>
#include <weft/process/joinable_queue.hpp>
#include <weft/process/queue.hpp>

#include "process/queue/queue_memory.hpp"
#include "process/stepped_child.hpp"
#include "process/sync_child.hpp"
#include "support/stress.hpp"

// Queues some of whose processes are killed: at every instruction of an operation, and at random.
namespace weft::test {
namespace {

using process::detail::ByteQueue;
using process::detail::ItemRoom;
using process::detail::kSegmentBytes;
using process::detail::kSegmentStart;
using MayWait = ByteQueue::MayWait;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span{text});
}

void put(ByteQueue& queue, const std::string& text) {
  (void)queue.put(bytes_of(text), Deadline::never(), MayWait::Yes);
}

std::optional<std::string> get(ByteQueue& queue, Duration patience = kPatience) {
  ItemRoom item{{}};
  if (!queue.get(item, Deadline::after(patience), MayWait::Yes)) return std::nullopt;
  return std::string{reinterpret_cast<const char*>(item.bytes().data()), item.bytes().size()};
}

std::uint64_t puts(ByteQueue& queue) {
  return queue.memory().control().puts.count;
}
std::uint64_t gets(ByteQueue& queue) {
  return queue.memory().control().gets.count;
}

/// Everything once, so that a child that is led through one of them need not be led through what is done the first time
/// only.
void warm_up() {
  ByteQueue queue{1, 0, {}};
  put(queue, "x");
  (void)queue.put(bytes_of("x"), Deadline::already(), MayWait::No);
  (void)get(queue);
  (void)get(queue, 1ms);
  put(queue, "x");
  (void)queue.put(bytes_of("x"), Deadline::after(1ms), MayWait::Yes);
  queue.task_done();
  (void)queue.join(Deadline::after(1ms));
  queue.shutdown(false);
}

/// Leads a child through `body` and kills it: in each round, that `before` begins and `after` ends, some instructions
/// later, until it gets to the end. False: it cannot be traced here.
bool kill_everywhere(const std::function<void()>& before, const std::function<void()>& body,
                     const std::function<void()>& after) {
  int length = 0;
  {
    before();
    SteppedChild whole{warm_up, body};
    length = whole.step(SteppedChild::kMostSteps);
    if (whole.state() == SteppedChild::State::NotAllowed) return false;
    EXPECT_EQ(whole.state(), SteppedChild::State::Finished) << "after " << length;
    whole.kill();
    after();
  }
  const int stride = stressing() ? 1 : std::max(1, length / 25);
  for (int steps = 0; steps < length && !testing::Test::HasFailure(); steps += stride) {
    before();
    SteppedChild child{warm_up, body};
    child.step(steps);
    child.kill();
    after();
    if (testing::Test::HasFailure())
      ADD_FAILURE() << "killed after " << steps << " of " << length << " instructions";
  }
  return true;
}

class QueueDeath : public testing::Test {
 protected:
  void SetUp() override {
    if (under_thread_sanitizer()) GTEST_SKIP() << "ThreadSanitizer's own code would be led through, too";
  }
};

#define WEFT_KILL_EVERYWHERE(...) \
  if (!kill_everywhere(__VA_ARGS__)) GTEST_SKIP() << "no tracing here"

TEST_F(QueueDeath, OfAPutterLeavesAllOrNothingOfHisItem) {
  ByteQueue queue{0, 0, {}};
  std::uint64_t before = 0;
  WEFT_KILL_EVERYWHERE([&] { before = puts(queue); }, [&] { put(queue, "his"); },
                       [&] {
                         const std::uint64_t his = puts(queue) - before;
                         ASSERT_LE(his, 1u);
                         put(queue, "mine");
                         if (his == 1) {
                           ASSERT_EQ(get(queue), "his");
                         }
                         ASSERT_EQ(get(queue), "mine");
                         ASSERT_EQ(queue.size(), 0u);
                       });
}

/// Brings an empty queue to where an item of a thousand bytes begins in one segment and ends in the next.
void bring_to_the_end_of_a_segment(ByteQueue& queue) {
  constexpr std::size_t kLeft = 304, kLength = 8;
  std::size_t left = kSegmentBytes - queue.memory().control().puts.place().position;
  if (left < kLeft + kLength) left += kSegmentBytes - kSegmentStart;
  put(queue, std::string(left - kLeft - kLength, 'f'));
  ASSERT_TRUE(get(queue));
  ASSERT_EQ(queue.size(), 0u);
}

void expect_no_memory_lost(ByteQueue& queue) {
  const auto census = queue.memory().census();
  const bool known = queue.memory().control().needs_repair == 1;
  ASSERT_TRUE(known || census.all == census.chained + census.spare)
      << census.all << ' ' << census.chained << ' ' << census.spare;
  ASSERT_LE(census.all, 5u);
}

TEST_F(QueueDeath, OfAPutterWhoTakesASegmentLosesNoMemory) {
  const std::string his(1000, 'h'), mine(200'000, 'm');
  for (const bool grows : {false, true}) {
    auto queue = std::make_unique<ByteQueue>(0, 0, Label{});
    WEFT_KILL_EVERYWHERE(
        [&] {
          if (grows) queue = std::make_unique<ByteQueue>(0, 0, Label{});
          bring_to_the_end_of_a_segment(*queue);
        },
        [&] { put(*queue, his); },
        [&] {
          const bool whole = queue->size() == 1;
          put(*queue, mine);
          if (whole) {
            ASSERT_EQ(get(*queue), his);
          }
          ASSERT_EQ(get(*queue), mine);
          ASSERT_EQ(queue->size(), 0u);
          expect_no_memory_lost(*queue);
        });
  }
}

TEST_F(QueueDeath, OfAGetterTakesHisItemOrLeavesIt) {
  ByteQueue queue{0, 0, {}};
  std::uint64_t before = 0;
  WEFT_KILL_EVERYWHERE(
      [&] {
        put(queue, "one");
        put(queue, "two");
        before = gets(queue);
      },
      [&] { (void)get(queue); },
      [&] {
        const std::uint64_t his = gets(queue) - before;
        ASSERT_LE(his, 1u);
        if (his == 0) {
          ASSERT_EQ(get(queue), "one");
        }
        ASSERT_EQ(get(queue), "two");
        ASSERT_EQ(queue.size(), 0u);
      });
}

TEST_F(QueueDeath, OfAGetterWhoLeavesASegmentLosesNoMemory) {
  ByteQueue queue{0, 0, {}};
  const std::string crossing(1000, 'c'), mine(200'000, 'm');
  WEFT_KILL_EVERYWHERE(
      [&] {
        bring_to_the_end_of_a_segment(queue);
        put(queue, crossing);
        put(queue, "two");
      },
      [&] {
        std::byte room[1024];
        ItemRoom item{room};
        (void)queue.get(item, Deadline::never(), MayWait::Yes);
      },
      [&] {
        if (queue.size() == 2) {
          ASSERT_EQ(get(queue), crossing);
        }
        ASSERT_EQ(get(queue), "two");
        put(queue, mine);
        ASSERT_EQ(get(queue), mine);
        expect_no_memory_lost(queue);
      });
}

// ---- those who sleep -----------------------------------------------------------------------------------------------

/// Takes what is in one queue and says so in another, for ever.
Child forwarder(ByteQueue& from, ByteQueue& to) {
  return Child{[&] {
    for (;;) put(to, get(from, 1h).value());
    return false;
  }};
}

TEST_F(QueueDeath, OfAPutterLeavesNoGetterAsleepOverHisItem) {
  ByteQueue queue{0, 0, {}}, seen{0, 0, {}};
  Child getter = forwarder(queue, seen);
  std::uint64_t before = 0;
  WEFT_KILL_EVERYWHERE(
      [&] {
        ASSERT_TRUE(SteppedChild::soon_sleeps(getter.pid()));
        before = puts(queue);
      },
      [&] { put(queue, "his"); },
      [&] {
        if (puts(queue) != before) {
          ASSERT_EQ(get(seen), "his");
        }
        put(queue, "mine");
        ASSERT_EQ(get(seen), "mine");
      });
}

TEST_F(QueueDeath, OfAGetterWhoIsGoingToSleepLeavesTheItemToTheOther) {
  ByteQueue queue{0, 0, {}}, seen{0, 0, {}};
  Child getter = forwarder(queue, seen);
  for (int steps = 0;; steps += stressing() ? 1 : 29) {
    SteppedChild victim{warm_up, [&] { (void)get(queue, 1h); }};
    if (victim.state() == SteppedChild::State::NotAllowed) GTEST_SKIP() << "no tracing here";
    victim.step(steps);
    const bool asleep = victim.state() == SteppedChild::State::Asleep;
    victim.kill();
    put(queue, "mine");
    ASSERT_EQ(get(seen), "mine") << steps;
    if (asleep) break;
    ASSERT_LT(steps, SteppedChild::kMostSteps);
  }
}

TEST_F(QueueDeath, OfAGetterWhoWasWokenLeavesTheItemToTheOther) {
  ByteQueue queue{0, 0, {}}, seen{0, 0, {}};
  int taken = 0, passed_on = 0;
  for (int steps = 0; steps < 400 && !HasFailure(); steps += stressing() ? 1 : 13) {
    SteppedChild victim{warm_up, [&] { (void)get(queue, 1h); }};
    if (victim.state() == SteppedChild::State::NotAllowed) GTEST_SKIP() << "no tracing here";
    victim.step(SteppedChild::kMostSteps);
    ASSERT_EQ(victim.state(), SteppedChild::State::Asleep);
    Child getter = forwarder(queue, seen);  // sleeps behind the victim
    ASSERT_TRUE(SteppedChild::soon_sleeps(getter.pid()));
    const std::uint64_t before = gets(queue);
    put(queue, "item");
    victim.step(steps);
    victim.kill();
    // Nobody puts anything any more: it was the victim's, or it is seen.
    ASSERT_TRUE(eventually([&] { return gets(queue) != before; })) << steps;
    const auto item = get(seen, 30ms);
    ++(item ? passed_on : taken);
    if (!item) continue;
    EXPECT_EQ(item, "item");
  }
  EXPECT_GT(passed_on, 0);
}

TEST_F(QueueDeath, OfAGetterLeavesNoPutterAsleepOverTheRoom) {
  ByteQueue queue{1, 0, {}};
  put(queue, "0");
  Child putter{[&] {
    for (;;) put(queue, "x");
    return false;
  }};
  std::uint64_t before = 0;
  WEFT_KILL_EVERYWHERE(
      [&] {
        ASSERT_TRUE(eventually([&] { return queue.size() == 1; }));
        ASSERT_TRUE(SteppedChild::soon_sleeps(putter.pid()));
        before = puts(queue);
      },
      [&] { (void)get(queue); },
      [&] {
        // Whatever he took was made up for, without anybody's doing.
        ASSERT_TRUE(eventually([&] { return queue.size() == 1; }));
        ASSERT_TRUE(get(queue));
        ASSERT_TRUE(eventually([&] { return queue.size() == 1; }));
        ASSERT_LE(puts(queue) - before, 2u);
      });
}

TEST_F(QueueDeath, OfTheLastToSayTaskDoneLeavesNoJoinerAsleep) {
  ByteQueue queue{0, 0, {}}, joined{0, 0, {}};
  Child joiner{[&] {
    std::uint64_t tasks = 0;
    for (;;) {
      while (puts(queue) == tasks) sleep_for(100us);
      ++tasks;
      (void)queue.join(Deadline::never());
      put(joined, "joined");
    }
    return false;
  }};
  const auto done = [&] { return queue.memory().control().done.load(); };
  WEFT_KILL_EVERYWHERE(
      [&] {
        put(queue, "task");
        ASSERT_TRUE(SteppedChild::soon_sleeps(joiner.pid()));
      },
      [&] { queue.task_done(); },
      [&] {
        if (done() != puts(queue)) {
          EXPECT_FALSE(get(joined, 1ms));
          queue.task_done();
        }
        ASSERT_EQ(get(joined), "joined");
        ASSERT_THROW(queue.task_done(), InvalidStateError);
      });
}

// Wherever he dies, join() ends: all is done, or what he had taken is lost, or it is still there to be taken.
TEST_F(QueueDeath, OfOneWhoTakesATaskAndSaysThatItIsDoneLeavesNobodyJoining) {
  std::unique_ptr<ByteQueue> queue;
  ByteQueue outcome{0, 0, {}};
  Child joiner;
  WEFT_KILL_EVERYWHERE(
      [&] {
        queue = std::make_unique<ByteQueue>(0, 0, Label{});
        queue->count_tasks();
        put(*queue, "task");
        joiner = Child{[&] {
          try {
            (void)queue->join(Deadline::never());
            put(outcome, "done");
          } catch (const TasksLost&) {
            put(outcome, "lost");
          }
          return true;
        }};
        ASSERT_TRUE(SteppedChild::soon_sleeps(joiner.pid()));
      },
      [&] {
        (void)get(*queue);
        queue->task_done();
      },
      [&] {
        const bool taken = gets(*queue) == 1;
        const bool done = queue->memory().control().done == 1;
        if (!taken) {
          EXPECT_FALSE(get(outcome, 1ms));
          ASSERT_EQ(get(*queue), "task");
          queue->task_done();
        }
        ASSERT_EQ(get(outcome), taken && !done ? "lost" : "done");
        ASSERT_EQ(joiner.join(), 0);
      });
}

// With all entries taken by the dead: the one whose place it takes is forgotten in steps.
TEST_F(QueueDeath, OfOneWhoTakesADeadOnesPlaceInTheLedgerMisleadsNobody) {
  ByteQueue queue{0, 0, {}};
  queue.count_tasks();
  const auto repair = [&] {
    while (queue.memory().control().done < puts(queue)) queue.task_done();
  };
  for (int i = 0; i < 70; ++i) {
    for (int k = 0; k < 3; ++k) put(queue, "task");
    Child child{[&] {
      for (int k = 0; k < 3; ++k) (void)get(queue);
      for (int k = 0; k < 2; ++k) queue.task_done();  // what is left of that in its place would hide what the next one takes
      return true;
    }};
    ASSERT_EQ(child.join(), 0);
  }
  repair();
  InSharedMemory<std::atomic<int>> stage;
  WEFT_KILL_EVERYWHERE(
      [&] { put(queue, "his"); },
      [&] {
        (void)get(queue);
        queue.task_done();
      },
      [&] {
        put(queue, "another's");
        *stage = 0;
        Child other{[&] {
          int taken = 0;
          while (get(queue, 0ms)) ++taken;
          *stage = 1;
          while (*stage == 1) sleep_for(100us);
          for (; taken > 0; --taken) queue.task_done();
          *stage = 3;
          while (*stage == 3) sleep_for(100us);
          return true;
        }};
        ASSERT_TRUE(eventually([&] { return *stage == 1; }));
        EXPECT_FALSE(queue.join(Deadline::after(1ms)));
        *stage = 2;
        ASSERT_TRUE(eventually([&] { return *stage == 3; }));
        try {
          EXPECT_TRUE(queue.join(Deadline::after(kPatience))) << "the other has none any more";
        } catch (const TasksLost&) {
          repair();
        }
        *stage = 4;
        EXPECT_EQ(other.join(), 0);
      });
}

TEST_F(QueueDeath, OfOneWhoShutsTheQueueDownLeavesNobodyAsleep) {
  std::unique_ptr<ByteQueue> queue;
  Child getter;
  WEFT_KILL_EVERYWHERE(
      [&] {
        queue = std::make_unique<ByteQueue>(0, 0, Label{});
        getter = Child{[&] { return !get(*queue, 1h); }};
        ASSERT_TRUE(SteppedChild::soon_sleeps(getter.pid()));
      },
      [&] { queue->shutdown(true); },
      [&] {
        if (!queue->is_shut_down()) {
          put(*queue, "still works");
          ASSERT_EQ(getter.join(), 1);
          queue->shutdown(false);
        } else {
          ASSERT_EQ(getter.join(), 0);
        }
        ASSERT_THROW(put(*queue, "x"), ShutDown);
      });
}

// ---- at random -----------------------------------------------------------------------------------------------------

constexpr int kMostLives = 400;
constexpr int kMostItems = 200'000;

struct Item {
  int life = 0;
  int number = 0;
  std::string padding;
};

/// What everybody has done, as far as he could say so.
struct Log {
  struct Producer {
    std::atomic<int> returned{0};  // so many puts have
  };
  struct Consumer {
    std::atomic<bool> getting{false};
  };
  std::array<Producer, kMostLives> producers;
  std::array<Consumer, kMostLives> consumers;
  std::array<std::atomic<std::uint8_t>, kMostItems> times_got;  // by the number of the item
  std::atomic<int> next_number{0};
  std::array<std::atomic<std::int16_t>, kMostItems>
      put_by;  // life + 1, as soon as the item may be in the queue
  std::array<std::atomic<bool>, kMostItems> put_returned;
  std::atomic<bool> out_of_order{false};
};

bool produce(process::Queue<Item>& queue, Log& log, int life) {
  Random random{static_cast<std::uint64_t>(life) + 1};
  for (;;) {
    const int number = log.next_number++;
    if (number >= kMostItems) return true;
    log.put_by[number] = static_cast<std::int16_t>(life + 1);
    try {
      queue.put(
          {life, number, std::string(random.below(8) == 0 ? random.below(60'000) : random.below(100), 'p')});
    } catch (const ShutDown&) {
      return true;
    }
    log.put_returned[number] = true;
  }
}

bool consume(process::Queue<Item>& queue, Log& log, int life) {
  std::vector<int> last(kMostLives, -1);
  for (;;) {
    log.consumers[life].getting = true;
    const auto item = queue.get_until(Deadline::never());
    if (!item) {
      log.consumers[life].getting = false;
      return true;
    }
    ++log.times_got[item->number];
    log.consumers[life].getting = false;
    if (item->number <= last[item->life]) log.out_of_order = true;
    last[item->life] = item->number;
  }
}

class RandomKills : public testing::TestWithParam<std::size_t> {};

TEST_P(RandomKills, LoseNothingButWhatTheyWereGettingAndDoubleNothing) {
  constexpr int kOfEach = 2;
  const int kills = std::min(rounds(100), kMostLives - kOfEach);
  process::Queue<Item> queue{GetParam()};
  const InSharedMemory<Log> log;
  Random random{static_cast<std::uint64_t>(::getpid())};
  int lives = 0, lost_at_most = 0;
  std::vector<Child> producers(kOfEach), consumers(kOfEach);
  std::vector<int> consumer_lives(kOfEach);
  const auto start_producer = [&](int at) {
    const int life = lives++;
    producers[at] = Child{[&, life] { return produce(queue, *log, life); }};
  };
  const auto start_consumer = [&](int at) {
    const int life = consumer_lives[at] = lives++;
    consumers[at] = Child{[&, life] { return consume(queue, *log, life); }};
  };
  for (int i = 0; i < kOfEach; ++i) {
    start_producer(i);
    start_consumer(i);
  }
  for (int i = 0; i < kills && lives < kMostLives; ++i) {
    ::usleep(random.below(20'000));
    const int at = static_cast<int>(random.below(kOfEach));
    if (random.below(2) == 0) {
      producers[at].kill();
      start_producer(at);
    } else {
      consumers[at].kill();
      if (log->consumers[consumer_lives[at]].getting) ++lost_at_most;
      start_consumer(at);
    }
  }
  queue.shutdown();
  for (Child& child : producers) EXPECT_EQ(child.join(), 0);
  for (Child& child : consumers) EXPECT_EQ(child.join(), 0);
  EXPECT_EQ(queue.qsize(), 0u);
  EXPECT_FALSE(log->out_of_order);
  int lost = 0, doubled = 0, invented = 0, got = 0;
  for (int number = 0; number < std::min<int>(log->next_number, kMostItems); ++number) {
    const int times = log->times_got[number];
    got += times;
    if (times > 1) ++doubled;
    if (times == 0 && log->put_returned[number]) ++lost;
    if (times != 0 && log->put_by[number] == 0) ++invented;
  }
  EXPECT_EQ(doubled, 0);
  EXPECT_EQ(invented, 0);
  EXPECT_LE(lost, lost_at_most);
  EXPECT_GT(got, 0);
}

INSTANTIATE_TEST_SUITE_P(Bounds, RandomKills, testing::Values(0, 5), [](const auto& bound) {
  return bound.param == 0 ? std::string{"Unbounded"} : "Bound" + std::to_string(bound.param);
});

}  // namespace
}  // namespace weft::test
