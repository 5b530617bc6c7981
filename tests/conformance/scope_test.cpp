#include <weft/sync/scope.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <stop_token>

#include <weft/base/error.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/net/socket.hpp>
#include <weft/queue/queue.hpp>
#include <weft/sync/barrier.hpp>
#include <weft/sync/condition.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/semaphore.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

class Scopes : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(Scopes);

// Not inlined: see CancelScope.
[[gnu::noinline]] void request_stop(std::stop_source& source) { source.request_stop(); }

/// Calls body(wait) for each kind of blocking call there is; wait() blocks for ever.
template <class Body>
void for_each_blocking_call(Body body) {
  Event event;
  body("Event", [&] { event.wait(); });
  body("Event, timed", [&] { (void)event.wait_for(1h); });
  Semaphore semaphore{0};
  body("Semaphore", [&] { semaphore.acquire(); });
  Queue<int> empty;
  body("get", [&] { (void)empty.get(); });
  Queue<int> full{1};
  full.put(1);
  body("put", [&] { full.put(2); });
  body("Queue::join", [&] { full.join(); });
  Lock lock;
  Condition condition;
  body("Condition", [&] {
    std::unique_lock guard{lock};
    condition.wait(guard);
  });
  auto fiber = spawn([&] { event.wait(); });
  body("join", [&] { fiber.join(); });
  auto [here, there] = Socket::socketpair();
  char byte = 0;
  body("recv", [&, &socket = here] { (void)socket.recv_into(&byte, 1); });
  body("sleep", [] { sleep_for(1h); });
  event.set();
  fiber.join();
}

TEST_P(Scopes, EveryBlockingCallEndsAtTheDeadlineOfTheScope) {
  in_world([](World&) {
    for_each_blocking_call([](const char* name, auto wait) {
      const DeadlineScope limit{5ms};
      EXPECT_THROW(wait(), TimeoutError) << name;
      EXPECT_THROW(wait(), TimeoutError) << name << ", again";
    });
  });
}

TEST_P(Scopes, TheCallsOwnEarlierDeadlineIsAnAnswer) {
  in_world([](World&) {
    const DeadlineScope limit{1h};
    Event event;
    EXPECT_FALSE(event.wait_for(1ms));
    Lock lock;
    lock.lock();
    EXPECT_FALSE(lock.try_lock_for(1ms));
    lock.unlock();
  });
}

TEST_P(Scopes, OfNestedDeadlinesTheEarliestCountsAndTheOuterReturns) {
  in_world([](World&) {
    Event event;
    const DeadlineScope outer{1h};
    {
      const DeadlineScope inner{2ms};
      const DeadlineScope innermost{2h};
      EXPECT_THROW(event.wait(), TimeoutError);
    }
    EXPECT_FALSE(event.wait_for(1ms));
    event.set();
    event.wait();
  });
}

TEST_P(Scopes, WhatIsThereIsTakenThoughTheDeadlineHasPassed) {
  in_world([](World&) {
    Queue<int> queue;
    queue.put(1);
    Event set;
    set.set();
    const DeadlineScope limit{Deadline::already()};
    EXPECT_EQ(queue.get(), 1);
    set.wait();
    EXPECT_THROW((void)queue.get(), TimeoutError);
  });
}

TEST_P(Scopes, LockIsNoCancellationPoint) {
  in_world([](World& world) {
    Lock lock;
    lock.lock();
    auto contender = world.spawn([&] {
      std::stop_source stop;
      request_stop(stop);
      const CancelScope cancel{stop.get_token()};
      const DeadlineScope limit{Deadline::already()};
      const std::lock_guard guard{lock};
      EXPECT_THROW(sleep_for(1h), Cancelled);
    });
    ASSERT_TRUE(contender.soon_waits_in(WaitKind::Lock));
    lock.unlock();
    EXPECT_EQ(contender.join(), Ending::Returned);
  });
}

TEST_P(Scopes, EveryBlockingCallEndsWhenTheTokenIsStopped) {
  in_world([](World& world) {
    for_each_blocking_call([&](const char* name, auto wait) {
      std::stop_source stop;
      auto stopper = world.spawn([&] {
        sleep_for(1ms);
        request_stop(stop);
      });
      {
        const CancelScope scope{stop.get_token()};
        EXPECT_THROW(wait(), Cancelled) << name;
        EXPECT_THROW(wait(), Cancelled) << name << ", again";
        EXPECT_THROW(check_cancelled(), Cancelled);
      }
      check_cancelled();  // outside it nothing is left of it
      stopper.join();
    });
  });
}

TEST_P(Scopes, ATokenStoppedBeforehandEndsTheFirstCall) {
  in_world([](World&) {
    std::stop_source stop;
    request_stop(stop);
    Event event;
    {
      const CancelScope scope{stop.get_token()};
      EXPECT_THROW(event.wait(), Cancelled);
    }
    EXPECT_FALSE(event.wait_for(1ms));
  });
}

TEST_P(Scopes, NestedTokensEndOnlyWhatIsInside) {
  in_world([](World&) {
    std::stop_source outer_stop;
    std::stop_source inner_stop;
    Event event;
    const CancelScope outer{outer_stop.get_token()};
    {
      const CancelScope inner{inner_stop.get_token()};
      request_stop(inner_stop);
      EXPECT_THROW(event.wait(), Cancelled);
    }
    EXPECT_FALSE(event.wait_for(1ms));
    request_stop(outer_stop);
    EXPECT_THROW((void)event.wait_for(1ms), Cancelled);
  });
}

TEST_P(Scopes, AShieldKeepsKillsDeadlinesAndTokensAway) {
  in_world([](World& world) {
    Event killed;
    std::atomic<bool> cleaned{false};
    auto victim = world.spawn([&] {
      std::stop_source stop;
      const CancelScope scope{stop.get_token()};
      const DeadlineScope limit{Deadline::already()};
      try {
        sleep_for(1h);
      } catch (const TimeoutError&) {
      }
      request_stop(stop);
      {
        const Shield shield;
        const Shield again;
        check_cancelled();
        killed.wait();
        EXPECT_FALSE(Event{}.wait_for(1ms));
        cleaned = true;
      }
      sleep_for(1h);
    });
    ASSERT_TRUE(victim.soon_waits_in(WaitKind::Event));
    victim.kill();
    killed.set();
    EXPECT_EQ(victim.join(), Ending::Cancelled);
    EXPECT_TRUE(cleaned);
  });
}

TEST_P(Scopes, AKilledThreadOrFiberEndsInEveryBlockingCall) {
  in_world([](World& world) {
    for_each_blocking_call([&](const char* name, auto wait) {
      auto victim = world.spawn([&] { wait(); });
      (void)eventually([&] { return victim.waits_in() != WaitKind::None; });
      victim.kill();
      EXPECT_EQ(victim.join(), Ending::Cancelled) << name;
    });
  });
}

// Permits and items are conserved whatever ends a wait: a grant that was given is returned.
TEST_P(Scopes, NothingIsLostWhenDeadlinesAndTokensRaceWithGrants) {
  in_world([](World& world) {
    const int count = rounds(400);
    Semaphore permits{2};
    Queue<int> items{3};
    std::atomic<int> taken{0};
    std::atomic<int> put{0};
    auto contexts = world.spawn_many(4, [&](int number) {
      Random random{static_cast<std::uint64_t>(number)};
      for (int i = 0; i < count; ++i) {
        std::stop_source stop;
        auto stopper = spawn([&, pause = random.below(200)] {
          if (pause % 2 == 0) sleep_for(std::chrono::microseconds{pause});
          request_stop(stop);
        });
        try {
          const CancelScope scope{stop.get_token()};
          const DeadlineScope limit{std::chrono::microseconds{random.below(400)}};
          permits.acquire();
          const std::lock_guard back{permits, std::adopt_lock};
          yield();
          if (random.below(2) == 0) {
            items.put(i);
            ++put;
          } else {
            (void)items.get();
            ++taken;
          }
        } catch (const TimeoutError&) {
        } catch (const Cancelled&) {
        }
        stopper.join();
      }
    });
    join_all(contexts);
    EXPECT_EQ(permits.value(), 2U);
    EXPECT_EQ(static_cast<int>(items.qsize()), put - taken);
  });
}

}  // namespace
}  // namespace weft::test
