#include <weft/process/event.hpp>

#include <gtest/gtest.h>

#include <vector>

#include "support/world.hpp"
#include "sync_child.hpp"
#include "sync_sent.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

class ProcessEvent : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(ProcessEvent);

TEST_P(ProcessEvent, SetLetsEverybodyThroughUntilItIsCleared) {
  in_world([](World& world) {
    process::Event event{"go"};
    EXPECT_FALSE(event.is_set());
    EXPECT_FALSE(event.wait_for(5ms));
    auto waiters = world.spawn_many(5, [&](int) { event.wait(); });
    EXPECT_TRUE(soon_all_wait_in(waiters, WaitKind::Event));
    event.set();
    event.set();
    join_all(waiters);
    EXPECT_TRUE(event.wait_for(0s));
    EXPECT_TRUE(sent(event).is_set());
    EXPECT_STREQ(sent(event).name(), "go");
    event.clear();
    EXPECT_FALSE(event.is_set());
    EXPECT_FALSE(event.wait_until(Clock::now() + 1ms));
  });
}

TEST_P(ProcessEvent, WhoWaitsWhenItIsSetIsLetThroughThoughItIsClearedAtOnce) {
  in_world([](World& world) {
    process::Event event;
    for (int round = 0; round < 20; ++round) {
      auto waiters = world.spawn_many(3, [&](int) { event.wait(); });
      EXPECT_TRUE(soon_all_wait_in(waiters, WaitKind::Event));
      event.set();
      event.clear();
      join_all(waiters);
    }
  });
}

TEST_P(ProcessEvent, AKillEndsAWait) {
  in_world([](World& world) {
    process::Event event;
    Runner waiter = world.spawn([&] { event.wait(); });
    EXPECT_TRUE(waiter.soon_waits_in(WaitKind::Event));
    waiter.kill();
    EXPECT_EQ(waiter.join(), Ending::Cancelled);
  });
}

TEST(ProcessEventAmongProcesses, IsSetInOneAndSeenInAll) {
  Parcels way;
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) {
    children.emplace_back([&] {
      auto event = way.receive<process::Event>();
      auto fiber = spawn([&] { event.wait(); });
      event.wait();
      return fiber.join_for(kPatience);
    });
  }
  process::Event event;
  for (int i = 0; i < 3; ++i) way.send(event);
  children[1].kill();
  event.set();
  EXPECT_EQ(children[0].join(), 0);
  EXPECT_EQ(children[2].join(), 0);
}

}  // namespace
}  // namespace weft::test
