#include <weft/queue/select.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <string>

#include <weft/base/error.hpp>
#include <weft/net/socket.hpp>
#include <weft/queue/simple_queue.hpp>
#include <weft/sync/bounded_semaphore.hpp>

#include "queue/kinds.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

class Select : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(Select);

void fail() { ADD_FAILURE() << "the wrong case was chosen"; }

// ---- every kind of case, ready at once and later --------------------------------------------------------------------

/// `make_case(callable)` makes a case that is not ready until `make_ready()`; then it is chosen, and runs.
template <class MakeCase, class MakeReady>
void expect_chosen(World& world, MakeCase make_case, MakeReady make_ready) {
  Event never;
  // Ready only after the wait has begun. Atomic: no sanitizer knows that what is sent orders who sends before who
  // receives.
  std::atomic<int> runs{0};
  Runner waiter = world.spawn([&] {
    EXPECT_EQ(select(never.on_set(fail), make_case([&](auto&&...) { ++runs; })), 1u);
  });
  ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Select));
  EXPECT_EQ(runs, 0);
  make_ready();
  EXPECT_EQ(waiter.join(), Ending::Returned);
  EXPECT_EQ(runs, 1);
}
template <class MakeCase>
void expect_ready(MakeCase make_case) {
  Event never;
  int runs = 0;
  EXPECT_EQ(select(never.on_set(fail), make_case([&](auto&&...) { ++runs; }), otherwise(fail)), 1u);
  EXPECT_EQ(runs, 1);
}
template <class MakeCase>
void expect_not_ready(MakeCase make_case) {
  int runs = 0;
  EXPECT_EQ(select(make_case([](auto&&...) { fail(); }), otherwise([&] { ++runs; })), 1u);
  EXPECT_EQ(select(make_case([](auto&&...) { fail(); }), after(1ms, [&] { ++runs; })), 1u);
  EXPECT_EQ(runs, 2);
}

TEST_P(Select, WaitsForAnItem) {
  in_world([](World& world) {
    Queue<int> queue;
    const auto get = [&](auto f) { return queue.on_get(std::move(f)); };
    expect_not_ready(get);
    expect_chosen(world, get, [&] { queue.put(1); });
    EXPECT_TRUE(queue.empty());
    queue.put(2);
    expect_ready(get);
    EXPECT_TRUE(queue.empty());
  });
}

TEST_P(Select, WaitsForRoom) {
  in_world([](World& world) {
    Queue<int> queue{1};
    const auto put = [&](auto f) { return queue.on_put(7, std::move(f)); };
    expect_ready(put);
    expect_not_ready(put);
    expect_chosen(world, put, [&] { EXPECT_EQ(queue.get(), 7); });
    EXPECT_EQ(queue.get(), 7);
    EXPECT_TRUE(queue.empty());
    // Room is a getter that waits, too.
    Runner getter = world.spawn([&] { EXPECT_EQ(queue.get(), 7); });
    ASSERT_TRUE(getter.soon_waits_in(WaitKind::Queue));
    expect_ready(put);
    getter.join();
  });
}

TEST_P(Select, TakesEveryKindOfQueue) {
  in_world([](World& world) {
    LifoQueue<std::string> lifo{2};
    EXPECT_EQ(select(lifo.on_put("a", [] {})), 0u);
    EXPECT_EQ(select(lifo.on_put(std::string{"b"}, [] {})), 0u);
    std::string got;
    select(lifo.on_get([&](std::string item) { got = item; }));
    EXPECT_EQ(got, "b");

    PriorityQueue<std::unique_ptr<int>, std::string> prioritized{1};
    auto item = std::make_unique<int>(3);
    select(prioritized.on_put("low", std::move(item), [] {}));
    EXPECT_EQ(item, nullptr);
    int value = 0;
    select(prioritized.on_get([&](auto entry) {
      EXPECT_EQ(entry.priority, "low");
      value = *entry.item;
    }));
    EXPECT_EQ(value, 3);

    SimpleQueue<std::unique_ptr<int>> simple;
    const auto get = [&](auto f) { return simple.on_get(std::move(f)); };
    expect_not_ready(get);
    expect_chosen(world, get, [&] { simple.put(std::make_unique<int>(1)); });
    EXPECT_TRUE(simple.empty());
  });
}

TEST_P(Select, WaitsForAnEvent) {
  in_world([](World& world) {
    Event event;
    const auto set = [&](auto f) { return event.on_set(std::move(f)); };
    expect_not_ready(set);
    expect_chosen(world, set, [&] { event.set(); });
    expect_ready(set);
    event.clear();
    expect_not_ready(set);
    // All that wait, as in wait().
    auto waiters = world.spawn_many(3, [&](int) { select(set([] {})); });
    ASSERT_TRUE(soon_all_wait_in(waiters, WaitKind::Select));
    event.set();
    event.clear();
    join_all(waiters);
  });
}

TEST_P(Select, WaitsForAPermit) {
  in_world([](World& world) {
    BoundedSemaphore semaphore{1};
    const auto acquire = [&](auto f) { return semaphore.on_acquire(std::move(f)); };
    expect_ready(acquire);
    EXPECT_EQ(semaphore.value(), 0u);
    expect_not_ready(acquire);
    expect_chosen(world, acquire, [&] { semaphore.release(); });
    EXPECT_EQ(semaphore.value(), 0u);
    semaphore.release();
  });
}

TEST_P(Select, WaitsForTheEndOfAFiber) {
  in_world([](World& world) {
    Runtime runtime{{.workers = 2}};
    Event go;
    Fiber<int> fiber = runtime.spawn([&] {
      go.wait();
      return 5;
    });
    const auto end = [&](auto f) { return fiber.on_end(std::move(f)); };
    expect_not_ready(end);
    expect_chosen(world, end, [&] { go.set(); });
    expect_ready(end);
    EXPECT_EQ(fiber.get(), 5);
    EXPECT_THROW(select(fiber.on_end(fail)), InvalidStateError);  // the handle is empty
  });
}

TEST_P(Select, WaitsForASocket) {
  in_world([](World& world) {
    auto ends = Socket::socketpair();
    Socket& here = ends.first;
    Socket& there = ends.second;
    const auto readable = [&](auto f) { return here.on_readable(std::move(f)); };
    const auto writable = [&](auto f) { return here.on_writable(std::move(f)); };
    for (int i = 0; i < 3; ++i) {
      expect_not_ready(readable);
      expect_chosen(world, readable, [&] { there.send_all("x"); });
      expect_ready(readable);  // nobody has read it
      EXPECT_EQ(here.recv(10), "x");
    }
    expect_ready(writable);
    const std::string much(1 << 16, 'y');
    while (here.try_send(much)) {
    }
    expect_not_ready(writable);
    Runner reader;
    expect_chosen(world, writable, [&] {
      reader = world.spawn([&] {
        for (std::size_t got = 1; got != 0;) got = there.recv(1 << 20).size();
      });
    });
    here.close();
    reader.join();
  });
}

// ---- exactly one ----------------------------------------------------------------------------------------------------

TEST_P(Select, OfSeveralThatAreReadyTakesOneOnly) {
  in_world([](World&) {
    Queue<int> a;
    Queue<int> b;
    Queue<int> c{1};
    Semaphore semaphore{100};
    for (int i = 0; i < 100; ++i) {
      a.put(i);
      b.put(i);
      const std::size_t before = a.qsize() + b.qsize() + semaphore.value() - c.qsize();
      select(a.on_get([](int) {}), b.on_get([](int) {}), c.on_put(1, [] {}), semaphore.on_acquire([] {}));
      EXPECT_EQ(a.qsize() + b.qsize() + semaphore.value() - c.qsize(), before - 1);
      (void)c.try_get();
    }
  });
}

TEST_P(Select, IsFairAmongThoseThatAreReady) {
  in_world([](World&) {
    Event ready;
    ready.set();
    Semaphore many{1'000'000};
    Queue<int> room;
    std::array<int, 4> chosen{};
    constexpr int kRounds = 4000;
    for (int i = 0; i < kRounds; ++i) {
      ++chosen[select(ready.on_set([] {}), many.on_acquire([] {}), room.on_put(1, [] {}), ready.on_set([] {}))];
    }
    // A thousand each are expected, give or take thirty: half of it is out of reach of chance.
    for (int count : chosen) EXPECT_GT(count, kRounds / 8);
  });
}

TEST_P(Select, WhoeverWaitedInSeveralQueuesHasLeftTheOthers) {
  in_world([](World& world) {
    Queue<int> a;
    Queue<int> b{1};
    b.put(1);
    Event event;
    Semaphore semaphore{0};
    Runner waiter = world.spawn([&] {
      EXPECT_EQ(select(a.on_get([](int) {}), b.on_put(2, [] {}), event.on_set([] {}), semaphore.on_acquire([] {})), 2u);
    });
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Select));
    event.set();
    waiter.join();
    a.put(5);
    semaphore.release();
    EXPECT_EQ(a.qsize(), 1u);
    EXPECT_EQ(semaphore.value(), 1u);
    EXPECT_EQ(b.get(), 1);
    EXPECT_TRUE(b.empty());
  });
}

// The first of a queue's waiters is decided already, but has not left: the item goes to the next.
TEST_P(Select, AnItemPassesByWhoeverChoseSomethingElse) {
  in_world([](World& world) {
    Queue<int> queue;
    Event event;
    Runner selecting = world.spawn([&] { select(event.on_set([] {}), queue.on_get([](int) { fail(); })); });
    ASSERT_TRUE(selecting.soon_waits_in(WaitKind::Select));
    Runner getting = world.spawn([&] { EXPECT_EQ(queue.get(), 1); });
    ASSERT_TRUE(getting.soon_waits_in(WaitKind::Queue));
    event.set();
    queue.put(1);
    getting.join();
    selecting.join();
  });
}

TEST_P(Select, ItemsThatAreMovedInStayWhenAnotherCaseIsChosen) {
  in_world([](World&) {
    Queue<std::unique_ptr<int>> full{1};
    full.put(nullptr);
    auto item = std::make_unique<int>(1);
    EXPECT_EQ(select(full.on_put(std::move(item), fail), otherwise([] {})), 1u);
    EXPECT_EQ(select(full.on_put(std::move(item), fail), after(2ms, [] {})), 1u);
    ASSERT_NE(item, nullptr);
    (void)full.get();
    EXPECT_EQ(select(full.on_put(std::move(item), [] {}), otherwise(fail)), 0u);
    EXPECT_EQ(item, nullptr);
    EXPECT_EQ(*full.get(), 1);
  });
}

TEST_P(Select, BothEndsOfOneQueueMayBeCases) {
  in_world([](World&) {
    Queue<int> queue{1};
    int put = 0;
    int got = 0;
    for (int i = 0; i < 20; ++i) select(queue.on_put(1, [&] { ++put; }), queue.on_get([&](int) { ++got; }));
    EXPECT_EQ(put, 10);
    EXPECT_EQ(got, 10);
  });
}

TEST_P(Select, SelectsMeetEachOther) {
  in_world([](World& world) {
    Queue<int> queue{1};
    Event never;
    constexpr int kItems = 500;
    long sum = 0;
    Runner getter = world.spawn([&] {
      for (int i = 0; i < kItems; ++i) select(never.on_set(fail), queue.on_get([&](int item) { sum += item; }));
    });
    for (int i = 0; i < kItems; ++i) select(queue.on_put(i, [] {}), never.on_set(fail));
    getter.join();
    EXPECT_EQ(sum, long{kItems} * (kItems - 1) / 2);
  });
}

// ---- time, kills, ends ----------------------------------------------------------------------------------------------

TEST_P(Select, WaitsItsTime) {
  in_world([](World&) {
    Queue<int> queue;
    const Stopwatch watch;
    EXPECT_EQ(select(after(1h, fail), queue.on_get([](int) { fail(); }), after(20ms, [] {})), 2u);
    EXPECT_GE(watch.elapsed(), 20ms);
    EXPECT_EQ(select(after(1ms, [] {})), 0u);  // nothing else to wait for
    EXPECT_EQ(select(after(-1s, [] {}), queue.on_get([](int) { fail(); })), 0u);
    queue.put(1);
    EXPECT_EQ(select(after(-1s, fail), queue.on_get([](int) {})), 1u);  // what is ready comes first
  });
}

TEST_P(Select, IsACancellationPoint) {
  in_world([](World& world) {
    Queue<int> queue;
    Semaphore semaphore{0};
    auto ends = Socket::socketpair();
    Socket& here = ends.first;
    auto waiters = world.spawn_many(3, [&](int number) {
      if (number == 0) select(queue.on_get([](int) { fail(); }), semaphore.on_acquire(fail));
      if (number == 1) select(queue.on_get([](int) { fail(); }), here.on_readable(fail), after(1h, fail));
      if (number == 2) select(after(1h, fail));
    });
    ASSERT_TRUE(soon_all_wait_in(waiters, WaitKind::Select));
    for (Runner& waiter : waiters) {
      waiter.kill();
      EXPECT_EQ(waiter.join(), Ending::Cancelled);
    }
    queue.put(1);
    semaphore.release();
    EXPECT_EQ(queue.qsize(), 1u);
    EXPECT_EQ(semaphore.value(), 1u);
  });
}

TEST_P(Select, AShutDownQueueThrowsUnlessTheCaseKnowsBetter) {
  in_world([](World& world) {
    Queue<int> queue{1};
    queue.put(1);
    queue.shutdown();
    Event never;
    EXPECT_THROW(select(never.on_set(fail), queue.on_put(2, fail)), ShutDown);
    int ends = 0;
    EXPECT_EQ(select(never.on_set(fail), queue.on_put(2, fail, [&] { ++ends; })), 1u);
    EXPECT_EQ(ends, 1);
    // Not empty yet.
    EXPECT_EQ(select(queue.on_get([](int item) { EXPECT_EQ(item, 1); }, fail)), 0u);
    EXPECT_THROW(select(never.on_set(fail), queue.on_get([](int) { fail(); })), ShutDown);
    EXPECT_EQ(select(queue.on_get([](int) { fail(); }, [&] { ++ends; }), otherwise(fail)), 0u);
    EXPECT_EQ(ends, 2);

    // While waiting.
    for (const bool immediate : {false, true}) {
      Queue<int> empty;
      Queue<int> full{1};
      full.put(1);
      auto waiters = world.spawn_many(2, [&](int number) {
        if (number == 0) {
          EXPECT_THROW(select(empty.on_get([](int) { fail(); }), never.on_set(fail)), ShutDown);
        } else {
          int told = 0;
          select(never.on_set(fail), full.on_put(2, fail, [&] { ++told; }));
          EXPECT_EQ(told, 1);
        }
      });
      ASSERT_TRUE(soon_all_wait_in(waiters, WaitKind::Select));
      empty.shutdown(immediate);
      full.shutdown(immediate);
      join_all(waiters);
    }
  });
}

TEST_P(Select, AClosedSocketIsAnError) {
  in_world([](World& world) {
    auto ends = Socket::socketpair();
    Socket& here = ends.first;
    Event never;
    Runner waiter = world.spawn([&] {
      try {
        select(never.on_set(fail), here.on_readable(fail));
        fail();
      } catch (const OSError& error) {
        EXPECT_EQ(error.errno_value(), EBADF);
      }
    });
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Select));
    here.close();
    waiter.join();
    EXPECT_THROW(select(never.on_set(fail), here.on_writable(fail), otherwise(fail)), OSError);
    EXPECT_THROW(select(Socket{}.on_readable(fail)), OSError);
  });
}

TEST_P(Select, WaitsForSeveralSocketsAndAQueue) {
  in_world([](World& world) {
    constexpr int kPairs = 5;
    std::vector<std::pair<Socket, Socket>> pairs;
    for (int i = 0; i < kPairs; ++i) pairs.push_back(Socket::socketpair());
    Queue<int> queue;
    std::array<int, kPairs + 1> chosen{};
    Runner waiter = world.spawn([&] {
      const auto read = [&](int i) {
        return pairs[i].first.on_readable([&, i] { EXPECT_EQ(pairs[i].first.recv(1), "x"); });
      };
      for (int i = 0; i < 60; ++i) {
        ++chosen[select(read(0), read(1), read(2), read(3), read(4), queue.on_get([](int) {}))];
      }
    });
    for (int i = 0; i < 60; ++i) {
      if (i % 7 == 0) {
        ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Select));
      }
      if (i % 6 < kPairs) {
        pairs[i % 6].second.send_all("x");
      } else {
        queue.put(i);
      }
    }
    waiter.join();
    for (int count : chosen) EXPECT_EQ(count, 10);
  });
}

TEST_P(Select, TheEndOfAStreamIsReadable) {
  in_world([](World& world) {
    auto ends = Socket::socketpair();
    Socket& here = ends.first;
    Socket& there = ends.second;
    Event never;
    Runner waiter = world.spawn([&] {
      EXPECT_EQ(select(never.on_set(fail), here.on_readable([] {})), 1u);
      EXPECT_EQ(here.recv(1), "");
    });
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Select));
    there.close();
    waiter.join();
  });
}

// ---- the callable ---------------------------------------------------------------------------------------------------

TEST_P(Select, TheCallableMayDoAnything) {
  in_world([](World& world) {
    Queue<int> queue;
    queue.put(1);
    queue.put(2);
    queue.put(3);
    int sum = 0;
    select(queue.on_get([&](int item) {
      sum += item;
      sum += queue.get();  // block
      select(queue.on_get([&](int inner) { sum += inner; }));
    }));
    EXPECT_EQ(sum, 6);
    queue.put(4);
    EXPECT_THROW(select(queue.on_get([](int) { throw Error{"mine"}; })), Error);
    EXPECT_TRUE(queue.empty());
    // Whatever was chosen may be gone by the time its callable runs.
    auto event = std::make_unique<Event>();
    Runner waiter = world.spawn([&] { select(event->on_set([&] { event.reset(); })); });
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Select));
    Event* raw = event.get();
    raw->set();
    waiter.join();
    EXPECT_EQ(event, nullptr);
  });
}

TEST_P(Select, ACaseMayBeUsedAgain) {
  in_world([](World&) {
    Queue<int> queue;
    int sum = 0;
    auto get = queue.on_get([&](int item) { sum += item; });
    for (int i = 1; i <= 4; ++i) {
      queue.put(i);
      EXPECT_EQ(select(get, otherwise(fail)), 0u);
    }
    EXPECT_EQ(select(get, otherwise([] {})), 1u);
    EXPECT_EQ(sum, 10);
  });
}

}  // namespace
}  // namespace weft::test
