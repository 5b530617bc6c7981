#include <weft/process/semaphore.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/process/bounded_semaphore.hpp>
#include <weft/queue/select.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"
#include "sync_child.hpp"
#include "sync_sent.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

class ProcessSemaphore : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(ProcessSemaphore);

TEST_P(ProcessSemaphore, HasAsManyPermitsAsItWasGiven) {
  in_world([](World&) {
    process::Semaphore semaphore{2, "seats"};
    EXPECT_EQ(semaphore.value(), 2u);
    semaphore.acquire();
    EXPECT_TRUE(semaphore.try_acquire());
    EXPECT_FALSE(semaphore.try_acquire());
    EXPECT_FALSE(semaphore.try_acquire_for(5ms));
    EXPECT_EQ(semaphore.value(), 0u);
    semaphore.release(3);
    EXPECT_EQ(semaphore.value(), 3u);
    EXPECT_EQ(sent(semaphore).value(), 3u);
    EXPECT_STREQ(sent(semaphore).name(), "seats");
    EXPECT_THROW(process::Semaphore{0x80000000}, InvalidStateError);
    EXPECT_THROW(semaphore.release(process::Semaphore::max_value()), InvalidStateError);
    EXPECT_EQ(semaphore.value(), 3u);
  });
}

/// None is free; three are given back.
void expect_one_for_each_waiter(World& world, process::Semaphore& semaphore) {
  std::atomic<int> through{0};
  auto waiters = world.spawn_many(6, [&](int) {
    semaphore.acquire();
    ++through;
  });
  EXPECT_TRUE(soon_all_wait_in(waiters, WaitKind::Semaphore));
  semaphore.release();
  EXPECT_TRUE(eventually([&] { return through == 1; }));
  semaphore.release(2);
  EXPECT_TRUE(eventually([&] { return through == 3; }));
  for (int i = 0; i < 3; ++i) semaphore.release();
  join_all(waiters);
  EXPECT_EQ(through, 6);
  EXPECT_EQ(semaphore.value(), 0u);
}

TEST_P(ProcessSemaphore, WaitersGoOnAsPermitsComeOneForEach) {
  in_world([](World& world) {
    process::Semaphore semaphore{0};
    expect_one_for_each_waiter(world, semaphore);
  });
}

TEST_P(ProcessSemaphore, WaitersOfABoundedOneGoOnAsPermitsComeOneForEach) {
  in_world([](World& world) {
    process::BoundedSemaphore semaphore{3};
    for (int i = 0; i < 3; ++i) semaphore.acquire();
    expect_one_for_each_waiter(world, semaphore);
  });
}

/// None is free, and of two who wait one is killed as one is given back.
void expect_no_permit_lost_by_a_kill(World& world, process::Semaphore& semaphore) {
  Runner killed = world.spawn([&] { semaphore.acquire(); });
  Runner other = world.spawn([&] { semaphore.acquire(); });
  EXPECT_TRUE(killed.soon_waits_in(WaitKind::Semaphore));
  EXPECT_TRUE(other.soon_waits_in(WaitKind::Semaphore));
  killed.kill();
  semaphore.release();
  if (killed.join() == Ending::Returned) semaphore.release();  // it was faster than the kill
  EXPECT_EQ(other.join(), Ending::Returned);
}

TEST_P(ProcessSemaphore, AKillLosesNoPermit) {
  in_world([](World& world) {
    for (int round = 0; round < 20; ++round) {
      process::Semaphore semaphore{0};
      expect_no_permit_lost_by_a_kill(world, semaphore);
    }
  });
}

TEST_P(ProcessSemaphore, AKillLosesNoPermitOfABoundedOne) {
  in_world([](World& world) {
    for (int round = 0; round < 20; ++round) {
      process::BoundedSemaphore semaphore{1};
      semaphore.acquire();
      expect_no_permit_lost_by_a_kill(world, semaphore);
    }
  });
}

TEST_P(ProcessSemaphore, ABoundedOneTakesNoMoreThanItGave) {
  in_world([](World&) {
    process::BoundedSemaphore semaphore{2};
    EXPECT_THROW(semaphore.release(), InvalidStateError);
    semaphore.acquire();
    EXPECT_THROW(semaphore.release(2), InvalidStateError);
    EXPECT_EQ(semaphore.value(), 1u);
    process::BoundedSemaphore there = sent(semaphore);
    there.release();
    EXPECT_THROW(there.release(), InvalidStateError);
    process::Semaphore plain = there;
    EXPECT_THROW(plain.release(), InvalidStateError);
    const std::lock_guard guard{there};
    EXPECT_EQ(semaphore.value(), 1u);
  });
}

TEST_P(ProcessSemaphore, ABoundedOneGivesBackAllOrNone) {
  in_world([](World&) {
    process::BoundedSemaphore semaphore{5};
    EXPECT_THROW(semaphore.release(2), InvalidStateError);
    for (int i = 0; i < 3; ++i) semaphore.acquire();
    EXPECT_EQ(semaphore.value(), 2u);
    EXPECT_THROW(semaphore.release(4), InvalidStateError);
    EXPECT_THROW(semaphore.release(process::Semaphore::max_value()), InvalidStateError);
    EXPECT_EQ(semaphore.value(), 2u);
    semaphore.release(3);
    semaphore.release(0);
    EXPECT_EQ(semaphore.value(), 5u);
    EXPECT_FALSE(semaphore.holder_died());
  });
}

// Each waits only while all seats are taken, and the last of them is given back soon: nobody is left asleep over a free one.
TEST_P(ProcessSemaphore, NobodySleepsOverAFreePermitOfABoundedOne) {
  in_world([](World& world) {
    process::BoundedSemaphore semaphore{2};
    std::atomic<int> inside{0};
    std::atomic<bool> too_many{false};
    auto users = world.spawn_many(8, [&](int number) {
      for (int i = 0; i < rounds(300); ++i) {
        if (number % 4 == 3) {
          if (!semaphore.try_acquire_for(10s)) too_many = true;
        } else {
          semaphore.acquire();
        }
        if (++inside > 2) too_many = true;
        if (i % 16 == 0) yield();
        --inside;
        semaphore.release();
      }
    });
    join_all(users);
    EXPECT_FALSE(too_many);
    EXPECT_EQ(semaphore.value(), 2u);
  });
}

TEST_P(ProcessSemaphore, WhoWaitsForABoundedOneHasThePermitsOfTheDead) {
  in_world([](World& world) {
    process::BoundedSemaphore semaphore{2};
    Child holder{[&] {
      semaphore.acquire();
      semaphore.acquire();
      sleep_for(1h);
      return true;
    }};
    EXPECT_TRUE(eventually([&] { return semaphore.value() == 0; }));
    Runner waiter = world.spawn([&] { semaphore.acquire(); });
    Runner selecting = world.spawn([&] { weft::select(semaphore.on_acquire([] {})); });
    EXPECT_TRUE(waiter.soon_waits_in(WaitKind::Semaphore));
    EXPECT_TRUE(selecting.soon_waits_in(WaitKind::Select));
    EXPECT_FALSE(semaphore.holder_died());
    holder.kill();
    EXPECT_EQ(waiter.join(), Ending::Returned);
    EXPECT_EQ(selecting.join(), Ending::Returned);
    EXPECT_TRUE(semaphore.holder_died());
    semaphore.recovered();
    EXPECT_FALSE(semaphore.holder_died());
    semaphore.release(2);
    EXPECT_THROW(semaphore.release(), InvalidStateError);
  });
}

TEST(ProcessSemaphoreAmongProcesses, WhoTriesABoundedOneHasThePermitsOfTheDead) {
  process::BoundedSemaphore semaphore{1};
  Child holder{[&] {
    semaphore.acquire();
    return true;  // and ends, with the permit
  }};
  EXPECT_EQ(holder.join(), 0);
  EXPECT_TRUE(eventually([&] { return semaphore.try_acquire(); }));
  EXPECT_TRUE(semaphore.holder_died());
}

TEST(ProcessSemaphoreAmongProcesses, WhoAsksABoundedOneBesideOthersHasThePermitsOfTheDead) {
  process::BoundedSemaphore semaphore{1};
  Child holder{[&] {
    semaphore.acquire();
    return true;
  }};
  EXPECT_EQ(holder.join(), 0);
  bool has_it = false;
  EXPECT_TRUE(eventually([&] {
    weft::select(semaphore.on_acquire([&] { has_it = true; }), weft::otherwise([] {}));
    return has_it;
  }));
}

// Of several who have permits it is the parent whose one is given back, as it took it for the child.
TEST(ProcessSemaphoreAmongProcesses, AChildGivesBackWhatItsParentHasRatherThanAnothers) {
  process::BoundedSemaphore semaphore{2};
  Child other{[&] {
    semaphore.acquire();
    sleep_for(1h);
    return true;
  }};
  ASSERT_TRUE(eventually([&] { return semaphore.value() == 1; }));
  semaphore.acquire();
  Child child{[&] {
    semaphore.release();
    return true;
  }};
  EXPECT_EQ(child.join(), 0);
  EXPECT_EQ(semaphore.value(), 1u);
  other.kill();
  EXPECT_TRUE(eventually([&] { return semaphore.try_acquire(); }));
  EXPECT_TRUE(semaphore.try_acquire_for(kPatience)) << "what the other had";
  EXPECT_TRUE(semaphore.holder_died());
}

// As when a parent takes a place for the child that it starts.
TEST(ProcessSemaphoreAmongProcesses, APermitOfABoundedOneMayBeGivenBackByAnotherProcess) {
  process::BoundedSemaphore semaphore{2};
  semaphore.acquire();
  Child child{[&] {
    semaphore.acquire();
    semaphore.release();  // its own
    semaphore.release();  // ours
    return true;
  }};
  EXPECT_EQ(child.join(), 0);
  EXPECT_EQ(semaphore.value(), 2u);
  EXPECT_FALSE(semaphore.holder_died());
}

TEST(ProcessSemaphoreAmongProcesses, ABoundedOneMayHaveMorePermitsThanItCouldTellTheHoldersOf) {
  process::BoundedSemaphore semaphore{100'000};
  for (int i = 0; i < 2'000; ++i) semaphore.acquire();
  EXPECT_EQ(semaphore.value(), 98'000u);
  semaphore.release(2'000);
  EXPECT_THROW(semaphore.release(), InvalidStateError);
  process::BoundedSemaphore most{1024};
  for (int i = 0; i < 1024; ++i) most.acquire();
  EXPECT_FALSE(most.try_acquire());
  EXPECT_EQ(sent(most).value(), 0u);
  most.release(1024);
  EXPECT_EQ(most.value(), 1024u);
  process::BoundedSemaphore none{0};
  EXPECT_FALSE(none.try_acquire());
  EXPECT_THROW(none.release(), InvalidStateError);
}

TEST(ProcessSemaphoreAmongProcesses, LetsOnlySoManyInAtOnce) {
  Parcels way;
  const InSharedMemory<std::array<std::atomic<int>, 2>> counts;  // inside now, at most
  std::vector<Child> children;
  for (int i = 0; i < 4; ++i) {
    children.emplace_back([&] {
      auto seats = way.receive<process::BoundedSemaphore>();
      auto& [inside, most] = *counts;
      auto pass = [&] {
        for (int j = 0; j < 300; ++j) {
          const std::lock_guard seat{seats};
          const int now = ++inside;
          for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
          }
          --inside;
        }
      };
      auto fiber = spawn(pass);
      pass();
      fiber.join();
      return true;
    });
  }
  process::BoundedSemaphore seats{2};
  for (int i = 0; i < 4; ++i) way.send(seats);
  for (Child& child : children) EXPECT_EQ(child.join(), 0);
  EXPECT_LE((*counts)[1], 2);
  EXPECT_EQ(seats.value(), 2u);
}

TEST(ProcessSemaphoreAmongProcesses, KilledWaitersTakeNoPermitThatComesLater) {
  process::Semaphore semaphore{0};
  const auto wait = [&] {
    semaphore.acquire();
    return true;
  };
  Child first{wait};
  Child second{wait};
  Child third{wait};
  sleep_for(10ms);
  first.kill();
  semaphore.release(2);
  EXPECT_EQ(second.join(), 0);
  EXPECT_EQ(third.join(), 0);
  EXPECT_EQ(semaphore.value(), 0u);
}

}  // namespace
}  // namespace weft::test
