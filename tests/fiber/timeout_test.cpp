#include <weft/fiber/timeout.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/queue/queue.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/scope.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

class Timeouts : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(Timeouts);

/// What ended the call; null: nothing did.
template <class F>
std::unique_ptr<TimeoutExpired> expired(F call) {
  try {
    call();
  } catch (const TimeoutExpired& error) {
    return std::make_unique<TimeoutExpired>(error);
  }
  return nullptr;
}

TEST_P(Timeouts, Example) {
  in_world([](World&) {
    Event answer;
    bool gave_up = false;
    Timeout limit{5ms};
    try {
      answer.wait();
    } catch (const TimeoutExpired& error) {
      if (!limit.is(error)) throw;
      limit.cancel();
      sleep_for(1ms);
      gave_up = true;
    }
    EXPECT_TRUE(gave_up);
  });
}

TEST_P(Timeouts, ThrowsAgainUntilItIsLeft) {
  in_world([](World&) {
    Event never;
    {
      const Timeout limit{2ms};
      EXPECT_TRUE(expired([&] { never.wait(); }));
      EXPECT_TRUE(expired([&] { never.wait(); }));
      EXPECT_TRUE(expired([] { check_cancelled(); }));
    }
    EXPECT_FALSE(never.wait_for(1ms));
    check_cancelled();
  });
}

TEST_P(Timeouts, IsATimeoutErrorThatSaysWhichAndHowLong) {
  in_world([](World&) {
    const Timeout named{2ms, "dinner"};
    try {
      sleep_for(24h);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const TimeoutError& error) {
      EXPECT_STREQ(error.what(), "Timeout \"dinner\": 0.002 s have passed");
    }
    const Timeout unnamed{1ms};
    const auto error = expired([] { sleep_for(24h); });
    ASSERT_TRUE(error);
  });
}

TEST_P(Timeouts, AnUnnamedOneIsCalledByItsPlace) {
  in_world([](World&) {
    const Timeout limit{1500us};
    const auto error = expired([] { sleep_for(24h); });
    ASSERT_TRUE(error);
    const std::string text = error->what();
    EXPECT_NE(text.find("timeout_test.cpp:"), std::string::npos) << text;
    EXPECT_NE(text.find("0.0015 s"), std::string::npos) << text;
  });
}

TEST_P(Timeouts, OfNestedOnesEachKnowsItsOwn) {
  in_world([](World&) {
    Event never;
    {
      const Timeout outer{1h};
      const Timeout inner{2ms};
      const auto error = expired([&] { never.wait(); });
      ASSERT_TRUE(error);
      EXPECT_TRUE(inner.is(*error));
      EXPECT_FALSE(outer.is(*error));
    }
    {
      const Timeout outer{2ms};
      const Timeout inner{1h};
      const auto error = expired([&] { never.wait(); });
      ASSERT_TRUE(error);
      EXPECT_TRUE(outer.is(*error));
      EXPECT_FALSE(inner.is(*error));
    }
  });
}

TEST_P(Timeouts, WhatExpiredFirstThrowsFirst) {
  in_world([](World&) {
    const Timeout first{2ms};
    const Timeout second{4ms};
    {
      const Shield shield;
      sleep_for(6ms);
    }
    const auto error = expired([] { sleep_for(0s); });
    ASSERT_TRUE(error);
    EXPECT_TRUE(first.is(*error));
    {
      const Timeout at_once{0s};
      const auto now = expired([] { sleep_for(1h); });
      ASSERT_TRUE(now);
      EXPECT_TRUE(at_once.is(*now));
    }
  });
}

TEST_P(Timeouts, AnOuterOnePassesThroughInnerHandlers) {
  in_world([](World&) {
    int passed = 0;
    Timeout outer{5ms};
    const auto error = expired([&] {
      (void)with_timeout(
          1h,
          [&] {
            try {
              (void)with_timeout(
                  2h,
                  [] {
                    sleep_for(24h);
                    return 1;
                  },
                  2);
              return 3;
            } catch (const TimeoutExpired&) {
              ++passed;
              throw;
            }
          },
          4);
      ADD_FAILURE() << "an inner one caught it";
    });
    ASSERT_TRUE(error);
    EXPECT_TRUE(outer.is(*error));
    EXPECT_EQ(passed, 1);
  });
}

TEST_P(Timeouts, APlainDeadlineScopeIsNobodysTimeout) {
  in_world([](World&) {
    const Timeout limit{1h};
    {
      const DeadlineScope scope{2ms};
      try {
        sleep_for(24h);
        ADD_FAILURE() << "nothing was thrown";
      } catch (const TimeoutExpired&) {
        ADD_FAILURE() << "it is nobody's";
      } catch (const TimeoutError&) {
      }
    }
    sleep_for(1ms);
    const DeadlineScope outer{1h};
    const Timeout inner{2ms};
    const auto error = expired([] { sleep_for(24h); });
    ASSERT_TRUE(error);
    EXPECT_TRUE(inner.is(*error));
  });
}

TEST_P(Timeouts, WhatIsThereIsTakenHoweverLate) {
  in_world([](World&) {
    Queue<int> queue;
    queue.put(1);
    Event set;
    set.set();
    const Timeout limit{0s};
    EXPECT_EQ(queue.get(), 1);
    set.wait();
    EXPECT_TRUE(expired([&] { (void)queue.get(); }));
  });
}

TEST_P(Timeouts, CanBeCancelledAndRestarted) {
  in_world([](World&) {
    Timeout limit{1ms};
    EXPECT_TRUE(expired([] { sleep_for(24h); }));
    EXPECT_FALSE(limit.pending());
    limit.cancel();
    limit.cancel();
    EXPECT_FALSE(limit.pending());
    sleep_for(2ms);
    limit.restart(1h);
    EXPECT_TRUE(limit.pending());
    sleep_for(1ms);
    limit.restart(2ms);
    const auto error = expired([] { sleep_for(24h); });
    ASSERT_TRUE(error);
    EXPECT_TRUE(limit.is(*error));
    EXPECT_NE(std::string{error->what()}.find("0.002 s"), std::string::npos);
  });
}

TEST_P(Timeouts, AnOuterOneCanBeCancelledFromWithin) {
  in_world([](World&) {
    Timeout outer{0s};
    {
      const Timeout inner{1h};
      EXPECT_TRUE(expired([] { sleep_for(24h); }));
      outer.cancel();
      sleep_for(1ms);
      outer.restart(2ms);
      const auto error = expired([] { sleep_for(24h); });
      ASSERT_TRUE(error);
      EXPECT_TRUE(outer.is(*error));
      {
        const Timeout innermost{1ms};
        EXPECT_TRUE(expired([] { sleep_for(24h); }));
        outer.cancel();
      }
      sleep_for(1ms);  // leaving the innermost has not brought the outer one back
    }
    sleep_for(1ms);
  });
}

TEST_P(Timeouts, OfAnotherContextIsNotOnesOwn) {
  in_world([](World&) {
    const Timeout mine{1h};
    auto fiber = spawn([] {
      const Timeout its{1ms};
      sleep_for(24h);
    });
    const auto error = expired([&] { fiber.get(); });
    ASSERT_TRUE(error);
    EXPECT_FALSE(mine.is(*error));
  });
}

TEST_P(Timeouts, AnEarlierOneIsNotTakenForALaterInItsPlace) {
  in_world([](World&) {
    std::unique_ptr<TimeoutExpired> earlier;
    for (int i = 0; i < 2; ++i) {
      const Timeout limit{1ms};
      const auto error = expired([] { sleep_for(24h); });
      ASSERT_TRUE(error);
      EXPECT_TRUE(limit.is(*error));
      if (earlier) {
        EXPECT_FALSE(limit.is(*earlier));
      }
      earlier = std::make_unique<TimeoutExpired>(*error);
    }
  });
}

TEST_P(Timeouts, LeaveAFiberAsTheyFoundIt) {
  in_world([](World&) {
    // A killed fiber is killed, whatever else has passed.
    auto fiber = spawn([] {
      const Timeout limit{24h};
      sleep_for(48h);
    });
    fiber.kill_and_join();
    EXPECT_THROW(fiber.get(), CancelledError);
    // A fiber that inherits the stack of one with limits has none.
    for (int i = 0; i < 10; ++i) {
      auto limited = spawn([] {
        const Timeout limit{0s};
        sleep_for(1h);
      });
      auto next = spawn([] { sleep_for(1ms); });
      EXPECT_THROW(limited.get(), TimeoutExpired);
      next.get();
    }
  });
}

TEST_P(Timeouts, SilentOnesSayWhetherTheCallWasDone) {
  in_world([](World&) {
    Event never;
    EXPECT_FALSE(Timeout::silent(2ms, [&] { never.wait(); }));
    EXPECT_TRUE(Timeout::silent(1h, [] { sleep_for(1ms); }));
    EXPECT_THROW((void)Timeout::silent(1h, [] { throw std::runtime_error{"other"}; }), std::runtime_error);
    const Timeout outer{2ms};
    EXPECT_TRUE(expired([&] { (void)Timeout::silent(1h, [&] { never.wait(); }); }));
  });
}

TEST_P(Timeouts, WithTimeoutGivesTheValueOrTheOther) {
  in_world([](World&) {
    Queue<std::string> queue;
    EXPECT_EQ(with_timeout(
                  2ms, [&] { return queue.get(); }, "nothing"),
              "nothing");
    queue.put("something");
    EXPECT_EQ(with_timeout(
                  1h, [&] { return queue.get(); }, "nothing"),
              "something");
    EXPECT_EQ(*with_timeout(
                  1ms,
                  [&]() -> std::unique_ptr<int> {
                    sleep_for(24h);
                    return nullptr;
                  },
                  std::make_unique<int>(3)),
              3);
    EXPECT_THROW((void)with_timeout(
                     1h, []() -> int { throw std::out_of_range{"x"}; }, 1),
                 std::out_of_range);
    // One of the callable's own passes.
    EXPECT_TRUE(expired([] {
      (void)with_timeout(
          1h,
          [] {
            const Timeout inner{1ms};
            sleep_for(24h);
            return 1;
          },
          2);
    }));
  });
}

TEST_P(Timeouts, EndlessOnesNeverExpire) {
  in_world([](World&) {
    Timeout limit{std::chrono::hours::max()};
    sleep_for(1ms);
    limit.restart(Duration::max());
    sleep_for(1ms);
  });
}

TEST_P(Timeouts, ManyAtOnceEachCatchTheirOwn) {
  in_world([](World& world) {
    auto runners = world.spawn_many(16, [](int number) {
      Random random{static_cast<std::uint64_t>(number)};
      for (int round = 0; round < rounds(40); ++round) {
        Timeout outer{std::chrono::microseconds{random.below(400)}};
        const auto outer_error = expired([&] {
          for (;;) {
            Timeout inner{std::chrono::microseconds{random.below(400)}};
            const auto error = expired([] { sleep_for(24h); });
            EXPECT_TRUE(error);
            EXPECT_NE(outer.is(*error), inner.is(*error));
            if (outer.is(*error)) throw TimeoutExpired{*error};
          }
        });
        EXPECT_TRUE(outer_error && outer.is(*outer_error));
      }
    });
    join_all(runners);
  });
}

}  // namespace
}  // namespace weft::test
