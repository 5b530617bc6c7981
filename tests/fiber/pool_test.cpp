#include <weft/fiber/pool.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <ranges>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/fiber/timeout.hpp>
#include <weft/sync/event.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

class Pools : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(Pools);

/// How many were in it at once, at most.
class Crowd {
 public:
  void enter() {
    const int now = ++inside_;
    int most = most_;
    while (now > most && !most_.compare_exchange_weak(most, now)) {
    }
  }
  void leave() { --inside_; }
  [[nodiscard]] int most() const { return most_; }

 private:
  std::atomic<int> inside_{0};
  std::atomic<int> most_{0};
};

TEST_P(Pools, RunsNoMoreThanItsSizeAtOnce) {
  in_world([](World&) {
    Crowd crowd;
    Pool pool{3};
    for (int i = 0; i < 30; ++i) {
      pool.spawn([&] {
        crowd.enter();
        yield();
        crowd.leave();
      });
    }
    pool.join();
    EXPECT_LE(crowd.most(), 3);
    EXPECT_EQ(pool.free_count(), 3u);
  });
}

TEST_P(Pools, SpawnWaitsWhileItIsFull) {
  in_world([](World& world) {
    Event go;
    Pool pool{2};
    EXPECT_EQ(pool.capacity(), 2u);
    EXPECT_EQ(pool.free_count(), 2u);
    EXPECT_FALSE(pool.full());
    pool.wait_available();
    auto first = pool.spawn([&] { go.wait(); });
    auto second = pool.spawn([&] { go.wait(); });
    EXPECT_TRUE(pool.full());
    EXPECT_EQ(pool.size(), 2u);
    EXPECT_FALSE(pool.wait_available_for(1ms));
    {
      const Timeout limit{2ms};
      EXPECT_THROW(pool.spawn([] {}), TimeoutExpired);
      EXPECT_THROW(pool.add(first), TimeoutExpired);
    }
    Event spawned;
    auto spawner = world.spawn([&] {
      pool.spawn([] {});
      spawned.set();
    });
    ASSERT_TRUE(spawner.soon_waits_in(detail::WaitKind::Semaphore));
    EXPECT_FALSE(spawned.is_set());
    go.set();
    EXPECT_TRUE(spawned.wait_for(kPatience));
    spawner.join();
    pool.join();
    EXPECT_EQ(pool.free_count(), 2u);
  });
}

TEST_P(Pools, APlaceIsFreeWhenTheMemberIsJoined) {
  in_world([](World&) {
    Pool pool{1};
    for (int i = 0; i < 50; ++i) {
      pool.spawn([] {}).join();
      EXPECT_EQ(pool.free_count(), 1u);
    }
  });
}

TEST_P(Pools, DiscardingAMemberFreesItsPlaceOnce) {
  in_world([](World&) {
    Event go;
    Pool pool{1};
    auto fiber = pool.spawn([&] { go.wait(); });
    EXPECT_TRUE(pool.discard(fiber));
    EXPECT_EQ(pool.free_count(), 1u);
    pool.add(fiber);
    EXPECT_EQ(pool.free_count(), 0u);
    EXPECT_TRUE(pool.discard(fiber));
    go.set();
    fiber.join();
    EXPECT_EQ(pool.free_count(), 1u);
    pool.add(fiber);  // ended: takes no place
    EXPECT_EQ(pool.free_count(), 1u);
  });
}

TEST_P(Pools, AddingAMemberTwiceTakesOnePlace) {
  in_world([](World&) {
    Event go;
    Pool pool{2};
    auto fiber = pool.spawn([&] { go.wait(); });
    pool.add(fiber);
    EXPECT_EQ(pool.free_count(), 1u);
    go.set();
    fiber.join();
    EXPECT_EQ(pool.free_count(), 2u);
  });
}

TEST_P(Pools, KilledMembersLeaveTheirPlaces) {
  in_world([](World&) {
    Pool pool{4};
    for (int i = 0; i < 4; ++i) pool.spawn([] { sleep_for(24h); });
    EXPECT_TRUE(pool.full());
    pool.kill_and_join();
    EXPECT_EQ(pool.free_count(), 4u);
    // One that waits for a place can be killed, too.
    Event go;
    for (int i = 0; i < 4; ++i) pool.spawn([&] { go.wait(); });
    auto spawner = spawn([&] { pool.spawn([] {}); });
    spawner.kill_and_join();
    EXPECT_THROW(spawner.get(), CancelledError);
    go.set();
    pool.join();
    EXPECT_EQ(pool.free_count(), 4u);
  });
}

TEST_P(Pools, OfNoPlacesIsRefused) {
  in_world([](World&) {
    EXPECT_THROW(Pool{0}, Error);
    EXPECT_THROW(Pool{0xFFFFFFFF}, Error);
  });
}

TEST_P(Pools, MapAndImapStayWithinIt) {
  in_world([](World&) {
    Crowd crowd;
    Pool pool{3};
    const auto square = [&](int number) {
      crowd.enter();
      yield();
      crowd.leave();
      return number * number;
    };
    const std::vector<int> squares = pool.map(square, std::views::iota(0, 40));
    for (int i = 0; i < 40; ++i) EXPECT_EQ(squares.at(static_cast<std::size_t>(i)), i * i);
    int expected = 0;
    for (const int value : pool.imap(square, std::views::iota(0, 40), 5)) {
      EXPECT_EQ(value, expected * expected);
      ++expected;
    }
    EXPECT_EQ(expected, 40);
    long sum = 0;
    for (const int value : pool.imap_unordered(square, std::views::iota(0, 40), 5)) sum += value;
    EXPECT_EQ(sum, std::accumulate(squares.begin(), squares.end(), 0L));
    EXPECT_LE(crowd.most(), 3);
    EXPECT_EQ(pool.free_count(), 3u);
  });
}

TEST_P(Pools, AnImapThatIsLeftWhileItsFeederWaitsForAPlace) {
  in_world([](World&) {
    Event go;
    Pool pool{1};
    auto member = pool.spawn([&] { go.wait(); });
    {
      auto results = pool.imap([](int number) { return number; }, std::views::iota(0, 10));
    }
    go.set();
    member.join();
    EXPECT_EQ(pool.free_count(), 1u);
    EXPECT_EQ(pool.map([](int number) { return number; }, std::views::iota(0, 3)),
              (std::vector<int>{0, 1, 2}));
  });
}

TEST_P(Pools, APoolLeftWithMembersRunningIsReleasedByTheLast) {
  in_world([](World&) {
    Event go;
    std::vector<Fiber<int>> fibers;
    {
      Pool pool{2};
      for (int i = 0; i < 2; ++i) {
        fibers.push_back(pool.spawn([&, i] {
          go.wait();
          return i;
        }));
      }
    }
    go.set();
    EXPECT_EQ(fibers[0].get() + fibers[1].get(), 1);
  });
}

TEST_P(Pools, PlacesAreNeitherLostNorMadeInARush) {
  in_world([](World& world) {
    Pool pool{3};
    Crowd crowd;
    std::atomic<int> ran{0};
    auto spawners = world.spawn_many(4, [&](int number) {
      for (int i = 0; i < rounds(200); ++i) {
        auto fiber = pool.spawn([&] {
          crowd.enter();
          if (ran++ % 4 == 0) yield();
          crowd.leave();
        });
        if (number == 0) fiber.kill();
      }
    });
    join_all(spawners);
    pool.join();
    EXPECT_EQ(pool.free_count(), 3u);
    EXPECT_LE(crowd.most(), 3);
  });
}

}  // namespace
}  // namespace weft::test
