// Joins are edges of the search for deadlocks.

#include <mutex>
#include <string>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/sync/deadlock.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/scope.hpp>
#include <weft/thread/current_thread.hpp>
#include <weft/thread/thread.hpp>

#include "support/eventually.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

class ThreadDeadlock : public InEveryWorld {
 protected:
  void SetUp() override {
    set_deadlock_hook([](const std::string&) {});
  }
  void TearDown() override { set_deadlock_hook({}); }
};
WEFT_IN_EVERY_WORLD(ThreadDeadlock);

TEST_P(ThreadDeadlock, OfAJoinAndALockIsAnErrorThatNamesBoth) {
  in_world([](World& world) {
    Lock lock{"register"};
    Thread clerk;
    std::string report;
    Runner customer = world.spawn([&] {
      const std::lock_guard guard{lock};
      clerk = Thread{[&] {
        try {
          const std::lock_guard inner{lock};
        } catch (const DeadlockError& error) {
          report = error.what();
        }
      }};
      clerk.set_name("clerk").start();
      try {
        clerk.join();
      } catch (const DeadlockError& error) {
        report = error.what();
      }
    });
    customer.join();
    clerk.join();
    EXPECT_NE(report.find("the end of thread \"clerk\""), std::string::npos) << report;
    EXPECT_NE(report.find("\"register\""), std::string::npos) << report;
  });
}

TEST_P(ThreadDeadlock, JoinsEndWithTheScopeAroundThem) {
  in_world([](World&) {
    Event go;
    Thread thread{[&] { go.wait(); }};
    thread.start();
    EXPECT_THROW(
        {
          const DeadlineScope scope{10ms};
          thread.join();
        },
        TimeoutError);
    EXPECT_TRUE(thread.is_alive());
    go.set();
    thread.join();
  });
}

class ThreadRing : public LeakFree {
 protected:
  void SetUp() override {
    set_deadlock_hook([](const std::string&) {});
  }
  void TearDown() override { set_deadlock_hook({}); }
};

TEST_F(ThreadRing, OfThreadsThatJoinEachOtherIsBroken) {
  Event go;
  Thread first;
  Thread second;
  std::atomic<int> deadlocks{0};
  const auto join = [&](Thread& other) {
    go.wait();
    try {
      other.join();
    } catch (const DeadlockError&) {
      ++deadlocks;
    }
  };
  first = Thread{join, std::ref(second)};
  second = Thread{join, std::ref(first)};
  first.start();
  second.start();
  go.set();
  first.join();
  second.join();
  EXPECT_EQ(deadlocks, 1);
}

}  // namespace
}  // namespace weft::test
