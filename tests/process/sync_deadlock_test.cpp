#include <weft/sync/deadlock.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <weft/base/error.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/rlock.hpp>
#include <weft/sync/lock.hpp>

#include "support/world.hpp"
#include "sync_child.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

class ProcessDeadlocks : public InEveryWorld {
 protected:
  void SetUp() override { set_deadlock_hook([](const std::string&) {}); }
  void TearDown() override { set_deadlock_hook({}); }
};
WEFT_IN_EVERY_WORLD(ProcessDeadlocks);

TEST_P(ProcessDeadlocks, ACircleOfAProcessLockAndAPlainOneIsFound) {
  in_world([](World& world) {
    process::Lock shared{"between processes"};
    Lock plain{"within"};
    std::atomic<int> held{0};
    std::atomic<int> found{0};
    std::string report;
    const auto take = [&](auto& first, auto& second) {
      const std::lock_guard outer{first};
      ++held;
      EXPECT_TRUE(eventually([&] { return held == 2; }));
      try {
        const std::lock_guard inner{second};
      } catch (const DeadlockError& error) {
        ++found;
        report = error.what();
      }
    };
    Runner one = world.spawn([&] { take(shared, plain); });
    Runner other = world.spawn([&] { take(plain, shared); });
    EXPECT_EQ(one.join(), Ending::Returned);
    EXPECT_EQ(other.join(), Ending::Returned);
    EXPECT_EQ(found, 1);
    EXPECT_NE(report.find("Lock \"between processes\""), std::string::npos) << report;
    EXPECT_NE(report.find("Lock \"within\""), std::string::npos) << report;
  });
}

TEST_P(ProcessDeadlocks, TwoProcessRLocksTakenInBothOrdersAreFound) {
  in_world([](World& world) {
    process::RLock first{"first"};
    process::RLock second{"second"};
    std::atomic<int> held{0};
    std::atomic<int> found{0};
    const auto take = [&](process::RLock& outer, process::RLock& inner) {
      const std::lock_guard guard{outer};
      ++held;
      EXPECT_TRUE(eventually([&] { return held == 2; }));
      try {
        const std::lock_guard both{inner};
      } catch (const DeadlockError&) {
        ++found;
      }
    };
    Runner one = world.spawn([&] { take(first, second); });
    Runner other = world.spawn([&] { take(second, first); });
    one.join();
    other.join();
    EXPECT_EQ(found, 1);
  });
}

TEST_P(ProcessDeadlocks, AHolderInAnotherProcessIsNotPartOfOne) {
  in_world([](World& world) {
    process::Lock shared;
    const InSharedMemory<std::atomic<int>> held;
    Child holder{[&] {
      const std::lock_guard guard{shared};
      *held = 1;
      return eventually([&] { return *held == 2; });
    }};
    ASSERT_TRUE(eventually([&] { return *held == 1; }));
    Lock plain;
    Runner waiter = world.spawn([&] {
      const std::lock_guard outer{plain};
      const std::lock_guard inner{shared};
    });
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Lock));
    EXPECT_TRUE(waiter.waits_for().empty());
    *held = 2;
    EXPECT_EQ(waiter.join(), Ending::Returned);
    EXPECT_EQ(holder.join(), 0);
  });
}

TEST_P(ProcessDeadlocks, AHolderOfThisProcessIsTold) {
  in_world([](World& world) {
    process::Lock shared;
    std::unique_lock guard{shared};
    Runner waiter = world.spawn([&] { EXPECT_TRUE(shared.try_lock_for(kPatience)); });
    ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Lock));
    EXPECT_EQ(waiter.waits_for(), std::vector<std::uint64_t>{detail::current_context_id()});
    guard.unlock();
    waiter.join();
  });
}

}  // namespace
}  // namespace weft::test
