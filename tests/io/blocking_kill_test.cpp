// blocking() on fibers that are killed, in runtimes that end, and on plain threads.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/io/blocking.hpp>

#include "gate.hpp"
#include "support/eventually.hpp"

namespace weft::test {
namespace {

TEST(BlockingKill, ACallUnderWayIsWaitedForAndReturns) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    Gate gate;
    std::atomic<bool> working{false};
    std::string result;
    bool next_threw = false;
    auto fiber = spawn([&] {
      result = blocking([&] {
        working = true;
        EXPECT_TRUE(gate.wait());
        return std::string{"whole"};
      });
      try {
        blocking([] { ADD_FAILURE() << "ran"; });
      } catch (const Cancelled&) {
        next_threw = true;
        throw;
      }
    });
    EXPECT_TRUE(eventually([&] { return working.load(); }));
    fiber.kill();
    // It has had every chance to leave, and uses variables of the fiber's: it must not.
    for (int i = 0; i < 100; ++i) yield();
    EXPECT_FALSE(fiber.done());
    gate.open();
    fiber.join();
    EXPECT_EQ(result, "whole");
    EXPECT_TRUE(next_threw);
    EXPECT_THROW(fiber.get(), CancelledError);
  });
}

TEST(BlockingKill, AnExceptionOfTheCallableIsNotReplaced) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    Gate gate;
    std::atomic<bool> working{false};
    auto fiber = spawn([&] {
      blocking([&] {
        working = true;
        EXPECT_TRUE(gate.wait());
        throw std::runtime_error{"of its own"};
      });
    });
    EXPECT_TRUE(eventually([&] { return working.load(); }));
    fiber.kill();
    gate.open();
    EXPECT_THROW(fiber.get(), std::runtime_error);
  });
}

TEST(BlockingKill, AFiberThatUnwindsMayStillFinishItsWork) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    std::optional<std::thread::id> cleaned_on;
    struct CleansUp {
      std::optional<std::thread::id>& where;
      ~CleansUp() { where = blocking([] { return std::this_thread::get_id(); }); }
    };
    auto fiber = spawn([&] {
      const CleansUp cleans_up{cleaned_on};
      sleep_until(Deadline::never());
    });
    yield();
    fiber.kill();
    fiber.join();
    ASSERT_TRUE(cleaned_on.has_value());
    EXPECT_NE(*cleaned_on, std::this_thread::get_id());
  });
}

TEST(BlockingKill, WhatACallableThrowsAsCancellationEndsTheFiber) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    auto fiber = spawn([] { blocking([] { throw Cancelled{}; }); });
    EXPECT_THROW(fiber.get(), CancelledError);
  });
}

TEST(BlockingKill, ARuntimeThatEndsWaitsForTheCallsOfItsFibers) {
  for (const unsigned workers : {1u, 2u}) {
    Gate gate;
    std::atomic<bool> working{false};
    std::atomic<bool> finished{false};
    std::thread opener;
    {
      Runtime runtime{{.workers = workers}};
      runtime.run([&] {
        // Its handle is dropped: nobody but the runtime waits for it.
        (void)spawn([&] {
          blocking([&] {
            working = true;
            EXPECT_TRUE(gate.wait());
            finished = true;
          });
        });
        EXPECT_TRUE(eventually([&] { return working.load(); }));
      });
      EXPECT_FALSE(finished);
      opener = std::thread{[&] { gate.open(); }};
    }
    EXPECT_TRUE(finished);
    opener.join();
  }
}

TEST(BlockingOnAPlainThread, RunsInPlace) {
  const auto here = std::this_thread::get_id();
  EXPECT_EQ(blocking([] { return std::this_thread::get_id(); }), here);
  int variable = 0;
  EXPECT_EQ(&blocking([&]() -> int& { return variable; }), &variable);
  EXPECT_EQ(*blocking([] { return std::make_unique<int>(3); }), 3);
  blocking([&] { variable = 1; });
  EXPECT_EQ(variable, 1);
  EXPECT_THROW(blocking([]() -> int { throw std::out_of_range{"x"}; }), std::out_of_range);
  std::thread{[] {
    const auto thread = std::this_thread::get_id();
    EXPECT_EQ(blocking([] { return std::this_thread::get_id(); }), thread);
  }}.join();
}

}  // namespace
}  // namespace weft::test
