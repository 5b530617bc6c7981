#include <weft/process/semaphore.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/process/bounded_semaphore.hpp>

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

TEST_P(ProcessSemaphore, WaitersGoOnAsPermitsComeOneForEach) {
  in_world([](World& world) {
    process::Semaphore semaphore{0};
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
  });
}

TEST_P(ProcessSemaphore, AKillLosesNoPermit) {
  in_world([](World& world) {
    for (int round = 0; round < 20; ++round) {
      process::Semaphore semaphore{0};
      Runner killed = world.spawn([&] { semaphore.acquire(); });
      Runner other = world.spawn([&] { semaphore.acquire(); });
      EXPECT_TRUE(killed.soon_waits_in(WaitKind::Semaphore));
      EXPECT_TRUE(other.soon_waits_in(WaitKind::Semaphore));
      killed.kill();
      semaphore.release();
      if (killed.join() == Ending::Returned) semaphore.release();  // it was faster than the kill
      EXPECT_EQ(other.join(), Ending::Returned);
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
