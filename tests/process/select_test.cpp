// select() over what processes share.

#include <weft/queue/select.hpp>

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/process/connection.hpp>
#include <weft/process/event.hpp>
#include <weft/process/joinable_queue.hpp>
#include <weft/process/process.hpp>
#include <weft/process/queue.hpp>
#include <weft/process/semaphore.hpp>
#include <weft/process/simple_queue.hpp>
#include <weft/queue/queue.hpp>

#include "process/process_kinds.hpp"

namespace weft::test {
namespace {

using namespace std::chrono_literals;

template <class Place>
class SharedSelect : public testing::Test {};
TYPED_TEST_SUITE(SharedSelect, Places);

void never() {
  ADD_FAILURE() << "chosen";
}
constexpr auto kLate = 20s;

TYPED_TEST(SharedSelect, TakesFromWhatIsReady) {
  TypeParam::run([] {
    process::Queue<int> empty, full;
    process::SimpleQueue<std::string> text;
    full.put(7);
    int got = 0;
    EXPECT_EQ(select(empty.on_get([](int) { never(); }), full.on_get([&](int item) { got = item; }),
                     otherwise(never)),
              1u);
    EXPECT_EQ(got, 7);
    EXPECT_EQ(full.qsize(), 0u);
    text.put(std::string(5000, 'x'));  // more than a case has room for
    std::string long_one;
    EXPECT_EQ(select(empty.on_get([](int) { never(); }),
                     text.on_get([&](std::string item) { long_one = std::move(item); })),
              1u);
    EXPECT_EQ(long_one, std::string(5000, 'x'));
    EXPECT_EQ(select(empty.on_get([](int) { never(); }), otherwise([] {})), 1u);
  });
}

TYPED_TEST(SharedSelect, WaitsForAnItemOfAnotherProcess) {
  TypeParam::run([] {
    process::Queue<int> quiet, busy, go;
    Process child{fork, [&] {
                    (void)go.get();
                    busy.put(42);
                  }};
    child.start();
    int got = 0;
    const auto at = [&](int round) {
      return select(quiet.on_get([](int) { never(); }), busy.on_get([&](int item) { got = item; }),
                    after(round == 0 ? 5ms : std::chrono::milliseconds{kLate}, [] {}));
    };
    EXPECT_EQ(at(0), 2u);  // given up: nothing is taken
    go.put(1);
    EXPECT_EQ(at(1), 1u);
    EXPECT_EQ(got, 42);
    child.join();
  });
}

TYPED_TEST(SharedSelect, WaitsForRoom) {
  TypeParam::run([] {
    process::Queue<int> bounded{1};
    process::Event taken;
    bounded.put(1);
    EXPECT_EQ(select(bounded.on_put(2, never), otherwise([] {})), 1u);
    Process child{fork, [&] { (void)bounded.get(); }};
    child.start();
    bool put = false;
    EXPECT_EQ(select(bounded.on_put(2, [&] { put = true; }), after(kLate, never)), 0u);
    EXPECT_TRUE(put);
    child.join();
    EXPECT_EQ(bounded.get(), 2);
  });
}

TYPED_TEST(SharedSelect, IsToldOfTheEndOfAQueue) {
  TypeParam::run([] {
    process::JoinableQueue<int> queue{1};
    queue.put(1);
    Process child{fork, [&] { queue.shutdown(); }};
    child.start();
    EXPECT_THROW(select(queue.on_put(2, never), after(kLate, never)), ShutDown);
    int got = 0;
    select(queue.on_get([&](int item) { got = item; }));
    EXPECT_EQ(got, 1);
    bool ended = false;
    EXPECT_EQ(select(queue.on_get([](int) { never(); }, [&] { ended = true; })), 0u);
    EXPECT_TRUE(ended);
    EXPECT_THROW(select(queue.on_get([](int) { never(); })), ShutDown);
    child.join();
  });
}

TYPED_TEST(SharedSelect, ConsumesEachItemOnce) {
  TypeParam::run([] {
    constexpr int kItems = 3000;
    process::Queue<int> odd, even;
    const auto produce = [&](process::Queue<int>& queue, int first) {
      for (int i = first; i < kItems; i += 2) queue.put(i);
    };
    Process a{fork, [&] { produce(odd, 1); }}, b{fork, [&] { produce(even, 0); }};
    a.start();
    b.start();
    std::vector<std::atomic<int>> seen(kItems);
    std::atomic<int> left{kItems};
    const auto consume = [&] {
      while (left.load() > 0) {
        const auto note = [&](int item) {
          seen[static_cast<std::size_t>(item)].fetch_add(1);
          left.fetch_sub(1);
        };
        select(odd.on_get(note), even.on_get(note), after(20ms, [] {}));
      }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(consume);
    consume();
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(std::all_of(seen.begin(), seen.end(),
                            [](const std::atomic<int>& count) { return count.load() == 1; }));
    a.join();
    b.join();
  });
}

TYPED_TEST(SharedSelect, StandsBesideWhatThisProcessHasAlone) {
  TypeParam::run([] {
    process::Queue<int> shared;
    Queue<int> own;
    auto [here, there] = process::pipe();
    Process child{fork, [&] {
                    there.send_bytes("from the child");
                    shared.put(1);
                    (void)there.recv_bytes();
                  }};
    child.start();
    bool heard = false, got = false, ended = false;
    while (!heard || !got) {
      select(own.on_get([](int) { never(); }), shared.on_get([&](int) { got = true; }), here.on_readable([&] {
        EXPECT_EQ(here.recv_bytes(), "from the child");
        heard = true;
      }),
             child.on_end([&] { ADD_FAILURE() << "ended"; }), after(kLate, never));
    }
    child.kill();
    EXPECT_EQ(
        select(shared.on_get([](int) { never(); }), child.on_end([&] { ended = true; }), after(kLate, never)),
        1u);
    EXPECT_TRUE(ended);
    EXPECT_EQ(child.exitcode(), -SIGKILL);
  });
}

TYPED_TEST(SharedSelect, WaitsForEvents) {
  TypeParam::run([] {
    process::Queue<int> empty;
    process::Event event, go, enough;
    Process child{fork, [&] {
                    go.wait();
                    while (!enough.wait_for(1ms)) {
                      event.set();
                      event.clear();
                    }
                  }};
    child.start();
    EXPECT_EQ(select(event.on_set(never), empty.on_get([](int) { never(); }), after(5ms, [&] { go.set(); })),
              2u);
    // Cleared at once: that it was set meanwhile is enough.
    EXPECT_EQ(select(event.on_set([] {}), child.on_end(never), after(kLate, never)), 0u);
    enough.set();
    child.join();
    event.set();
    EXPECT_EQ(select(empty.on_get([](int) { never(); }), event.on_set([] {})), 1u);
  });
}

TYPED_TEST(SharedSelect, TakesOnePermit) {
  TypeParam::run([] {
    process::Semaphore permits{0};
    process::Queue<int> empty;
    Process child{fork, [&] { permits.release(2); }};
    EXPECT_EQ(select(permits.on_acquire(never), otherwise([] {})), 1u);
    child.start();
    EXPECT_EQ(select(empty.on_get([](int) { never(); }), permits.on_acquire([] {}), after(kLate, never)), 1u);
    child.join();
    EXPECT_EQ(permits.value(), 1u);
    EXPECT_EQ(select(permits.on_acquire([] {}), otherwise(never)), 0u);
    EXPECT_EQ(permits.value(), 0u);
  });
}

TYPED_TEST(SharedSelect, OfAProcessThatIsKilledTakesNothing) {
  TypeParam::run([] {
    process::Queue<int> queue, ready;
    process::Semaphore permits{0};
    Process child{fork, [&] {
                    ready.put(1);
                    select(queue.on_get([&](int item) { ready.put(item); }),
                           permits.on_acquire([&] { ready.put(-1); }));
                  }};
    child.start();
    (void)ready.get();
    EXPECT_EQ(select(child.on_end(never), after(5ms, [] {})), 1u);
    child.kill();
    child.join();
    for (int i = 0; i < 10; ++i) queue.put(i);
    permits.release();
    for (int i = 0; i < 10; ++i) EXPECT_EQ(queue.get_for(kLate), i);
    EXPECT_TRUE(permits.try_acquire_for(kLate));
    EXPECT_EQ(ready.qsize(), 0u);
  });
}

TYPED_TEST(SharedSelect, HandsAWakeUpOnThatItDoesNotUse) {
  TypeParam::run([] {
    // Of two that wait for one item, one chooses something else at the same time. The item then is the other's.
    process::Queue<int> items;
    for (int round = 0; round < 50; ++round) {
      process::Event stop;
      std::atomic<int> got{0};
      std::thread other{[&] {
        if (items.get_for(kLate)) ++got;
      }};
      std::thread chooser{[&] { select(stop.on_set([] {}), items.on_get([&](int) { ++got; })); }};
      std::thread setter{[&] { stop.set(); }};
      items.put(round);
      setter.join();
      chooser.join();
      if (got == 0) {
        EXPECT_TRUE(eventually([&] { return got == 1; }));
      }
      items.put(-1);  // for whoever is left
      other.join();
      while (items.try_get()) {
      }
    }
  });
}

TEST(SharedSelectOfFibers, CanBeKilledAndLosesNothing) {
  Runtime runtime{{.workers = 2}};
  runtime.run([] {
    process::Queue<int> queue;
    Fiber<void> fiber = spawn([&] { select(queue.on_get([](int) { never(); })); });
    sleep_for(5ms);  // mostly it waits by now; if not, it is killed before
    fiber.kill();
    EXPECT_THROW(fiber.get(), CancelledError);
    queue.put(3);
    EXPECT_EQ(queue.get(), 3);
  });
}

void put_one(process::Queue<int> queue, process::Event event) {
  queue.put(1);
  event.set();
}

TEST(SharedSelectOfHandles, WorksWithSentOnes) {
  for (const StartMethod method : {StartMethod::Fork, StartMethod::Spawn, StartMethod::Forkserver}) {
    process::Queue<int> queue;
    process::Event event;
    Process child = method == StartMethod::Fork    ? Process{fork, put_one, queue, event}
                    : method == StartMethod::Spawn ? Process{spawning, put_one, queue, event}
                                                   : Process{forkserver, put_one, queue, event};
    child.start();
    int chosen = 0;
    while (chosen != 3) {
      if (chosen & 1) {
        select(event.on_set([&] { chosen |= 2; }), after(kLate, never));
      } else {
        select(queue.on_get([&](int) { chosen |= 1; }), after(kLate, never));
      }
    }
    child.join();
  }
}

}  // namespace
}  // namespace weft::test
