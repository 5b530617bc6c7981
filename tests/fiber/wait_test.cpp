#include <weft/fiber/wait.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <stdexcept>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/fiber/timeout.hpp>
#include <weft/sync/scope.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

class WaitForFibers : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(WaitForFibers);

/// Fibers, each of which returns its number when its event is set.
struct Gated {
  explicit Gated(int count) : gates(static_cast<std::size_t>(count)) {
    for (int i = 0; i < count; ++i) {
      fibers.push_back(spawn([this, i] {
        gates[static_cast<std::size_t>(i)].wait();
        return i;
      }));
    }
  }
  ~Gated() {
    for (Event& gate : gates) gate.set();
    join_all(fibers);
  }
  void end(std::size_t index) {
    gates[index].set();
    fibers[index].join();
  }

  std::deque<Event> gates;
  std::vector<Fiber<int>> fibers;
};

TEST_P(WaitForFibers, GivesThemInTheOrderOfTheirEnds) {
  in_world([](World&) {
    Gated gated{4};
    auto ends = iwait(gated.fibers);  // watches from here on
    for (const std::size_t index : {2, 0, 3, 1}) gated.end(index);
    std::vector<int> order;
    for (Fiber<int>& ended : ends) {
      EXPECT_TRUE(ended.done());
      order.push_back(ended.get());
    }
    EXPECT_EQ(order, (std::vector<int>{2, 0, 3, 1}));
    gated.fibers.clear();
  });
}

TEST_P(WaitForFibers, GivesAllOfThemHoweverLateTheyEnd) {
  in_world([](World&) {
    Gated gated{4};
    auto ender = spawn([&] {
      for (const std::size_t index : {2, 0, 3, 1}) gated.end(index);
    });
    int sum = 0;
    for (Fiber<int>* ended : wait(gated.fibers)) {
      EXPECT_TRUE(ended->done());
      sum += 1 << *ended->value();
    }
    EXPECT_EQ(sum, 15);
    ender.join();
  });
}

TEST_P(WaitForFibers, IsOverWhenSoManyHaveEnded) {
  in_world([](World&) {
    Gated gated{5};
    EXPECT_TRUE(wait(gated.fibers, {.count = 0}).empty());
    gated.end(3);
    ASSERT_EQ(wait(gated.fibers, {.count = 1}).size(), 1u);
    EXPECT_EQ(wait(gated.fibers, {.count = 1})[0], &gated.fibers[3]);
    gated.gates[1].set();
    gated.gates[4].set();
    EXPECT_EQ(wait(gated.fibers, {.count = 3}).size(), 3u);
  });
}

TEST_P(WaitForFibers, IsOverWhenTheTimeHasPassed) {
  in_world([](World&) {
    Gated gated{3};
    gated.end(1);
    const Stopwatch watch;
    const auto ended = wait(gated.fibers, 20ms);
    EXPECT_GE(watch.elapsed(), 20ms);
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0], &gated.fibers[1]);
    EXPECT_EQ(wait(gated.fibers, 0s).size(), 1u);
    EXPECT_EQ(wait(gated.fibers, {.until = Deadline::after(1h), .count = 1}).size(), 1u);
  });
}

TEST_P(WaitForFibers, OfNoneIsOverAtOnce) {
  in_world([](World&) {
    std::vector<Fiber<void>> none;
    EXPECT_TRUE(wait(none).empty());
    EXPECT_TRUE(wait(none, 1h).empty());
  });
}

TEST_P(WaitForFibers, TakesAnyNumber) {
  in_world([](World&) {
    std::vector<Fiber<void>> fibers;
    const int count = rounds(5000);
    for (int i = 0; i < count; ++i) {
      fibers.push_back(spawn([i] {
        for (int n = i % 3; n > 0; --n) yield();
      }));
    }
    EXPECT_EQ(wait(fibers).size(), fibers.size());
    EXPECT_EQ(wait(fibers).size(), fibers.size());
  });
}

TEST_P(WaitForFibers, OneByOneAsTheyEnd) {
  in_world([](World&) {
    Gated gated{3};
    std::vector<int> order;
    gated.gates[1].set();
    for (Fiber<int>& ended : iwait(gated.fibers)) {
      order.push_back(*ended.value());
      if (order.size() == 1) gated.gates[2].set();
      if (order.size() == 2) gated.gates[0].set();
    }
    EXPECT_EQ(order, (std::vector<int>{1, 2, 0}));
    int count = 0;
    for ([[maybe_unused]] Fiber<int>& ended : iwait(gated.fibers, {.count = 2})) ++count;
    EXPECT_EQ(count, 2);
  });
}

TEST_P(WaitForFibers, CanBeLeftEarly) {
  in_world([](World&) {
    Gated gated{3};
    EXPECT_THROW(
        (void)[&] {
          const Timeout limit{2ms};
          return wait(gated.fibers).size();
        }(),
        TimeoutExpired);
    gated.gates[0].set();
    for ([[maybe_unused]] Fiber<int>& ended : iwait(gated.fibers)) break;
    auto killed = spawn([&] { return wait(gated.fibers).size(); });
    killed.kill();
    killed.join();
    EXPECT_THROW(killed.get(), CancelledError);
  });
}

TEST_P(WaitForFibers, OfOneselfIsRefused) {
  in_world([](World&) {
    std::vector<Fiber<void>> fibers(1);
    Event assigned;
    fibers[0] = spawn([&] {
      assigned.wait();
      EXPECT_THROW((void)wait(fibers), InvalidStateError);
    });
    assigned.set();
    fibers[0].join();
  });
}

TEST_P(WaitForFibers, JoinAllCanRaiseTheFirstFailure) {
  in_world([](World&) {
    Event go;
    std::vector<Fiber<int>> fibers;
    fibers.push_back(spawn([&]() -> int {
      go.wait();
      return 1;
    }));
    fibers.push_back(spawn([]() -> int { throw std::out_of_range{"second"}; }));
    EXPECT_THROW(join_all(fibers, raise_error), std::out_of_range);
    EXPECT_FALSE(fibers[0].done());
    EXPECT_THROW((void)join_all(fibers, 1h, raise_error), std::out_of_range);
    EXPECT_THROW(fibers[1].get(), std::out_of_range);
    fibers.pop_back();
    EXPECT_FALSE(join_all(fibers, 1ms, raise_error));
    go.set();
    join_all(fibers, raise_error);
    EXPECT_TRUE(join_all(fibers, 1h, raise_error));
    EXPECT_EQ(fibers[0].get(), 1);
  });
}

TEST_P(WaitForFibers, KillAllEndsThemAll) {
  in_world([](World&) {
    std::vector<Fiber<void>> fibers;
    for (int i = 0; i < 10; ++i) fibers.push_back(spawn([] { sleep_for(24h); }));
    EXPECT_TRUE(kill_all(fibers, kPatience));
    for (auto& fiber : fibers) EXPECT_THROW(fiber.get(), CancelledError);
    Event begun;
    Event go;
    std::vector<Fiber<void>> stubborn;
    stubborn.push_back(spawn([&] {
      const Shield shield;
      begun.set();
      go.wait();
    }));
    begun.wait();
    EXPECT_FALSE(kill_all(stubborn, 1ms));
    go.set();
    kill_all(stubborn);
    join_all(stubborn);
  });
}

class WaitForAnything : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(WaitForAnything);

TEST_P(WaitForAnything, GivesTheIndicesInTheOrderInWhichTheyAreReady) {
  in_world([](World&) {
    Event go;
    Event event;
    Semaphore semaphore{0};
    Thread thread{[&] { go.wait(); }};
    thread.start();
    auto fiber = spawn([&] { go.wait(); });
    EXPECT_TRUE(wait({.until = Deadline::after(2ms)}, event, semaphore, thread, fiber).empty());
    event.set();
    EXPECT_EQ(wait({.count = 1}, semaphore, thread, fiber, event), std::vector<std::size_t>{3});
    semaphore.release(1);
    EXPECT_EQ(wait({.count = 2}, event, semaphore, thread, fiber).size(), 2u);
    EXPECT_EQ(semaphore.value(), 1u);
    go.set();
    EXPECT_EQ(wait({}, event, semaphore, thread, fiber).size(), 4u);
    EXPECT_EQ(semaphore.value(), 1u);
    EXPECT_EQ(wait({.until = Deadline::already()}, thread, fiber).size(), 2u);
    thread.join();
  });
}

TEST_P(WaitForAnything, AThreadIsACaseOfSelect) {
  in_world([](World&) {
    Event go;
    Thread thread{[&] { go.wait(); }};
    EXPECT_THROW((void)thread.on_end([] {}), InvalidStateError);
    thread.start();
    int chosen = 0;
    (void)select(thread.on_end([&] { chosen = 1; }), after(2ms, [&] { chosen = 2; }));
    EXPECT_EQ(chosen, 2);
    auto setter = spawn([&] { go.set(); });
    (void)select(thread.on_end([&] { chosen = 1; }), after(kPatience, [&] { chosen = 2; }));
    EXPECT_EQ(chosen, 1);
    EXPECT_FALSE(thread.is_alive());
    setter.join();
  });
}

TEST_P(WaitForAnything, CanBeInterrupted) {
  in_world([](World&) {
    Event never;
    Semaphore none{0};
    const Timeout limit{2ms};
    EXPECT_THROW((void)wait({}, never, none), TimeoutExpired);
  });
}

}  // namespace
}  // namespace weft::test
