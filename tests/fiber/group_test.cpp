#include <weft/fiber/group.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/fiber/timeout.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/scope.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

class Groups : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(Groups);

TEST_P(Groups, Example) {
  in_world([](World&) {
    std::atomic<int> sum{0};
    Group group;
    for (int i = 1; i <= 10; ++i) group.spawn([&](int number) { sum += number; }, i);
    group.join();
    EXPECT_EQ(sum, 55);
    EXPECT_TRUE(group.empty());
  });
}

TEST_P(Groups, SpawnGivesAHandleLikeAnyOther) {
  in_world([](World&) {
    Group group;
    auto fiber = group.spawn(
        {.name = "member"}, [](std::unique_ptr<int> number) { return number; }, std::make_unique<int>(3));
    EXPECT_EQ(fiber.name(), "member");
    EXPECT_EQ(*fiber.get(), 3);
    EXPECT_FALSE(group.contains(spawn([] {})));
  });
}

TEST_P(Groups, AMemberIsOneUntilItsEndIsSeen) {
  in_world([](World&) {
    Event go;
    Group group;
    auto first = group.spawn([&] { go.wait(); });
    auto second = group.spawn([&] { go.wait(); });
    EXPECT_EQ(group.size(), 2u);
    EXPECT_TRUE(group.contains(first));
    go.set();
    first.join();
    EXPECT_FALSE(group.contains(first));
    second.join();
    EXPECT_EQ(group.size(), 0u);
  });
}

TEST_P(Groups, FibersCanBeAddedAndDiscarded) {
  in_world([](World&) {
    Event go;
    Group group;
    auto fiber = spawn([&] { go.wait(); });
    EXPECT_FALSE(group.discard(fiber));
    group.add(fiber);
    group.add(fiber);
    EXPECT_EQ(group.size(), 1u);
    EXPECT_FALSE(group.join_for(1ms));
    EXPECT_TRUE(group.discard(fiber));
    EXPECT_FALSE(group.discard(fiber));
    group.join();
    EXPECT_FALSE(fiber.done());
    group.add(fiber);
    go.set();
    group.join();
    fiber.join();
    group.add(fiber);  // one that has ended
    EXPECT_TRUE(group.empty());
  });
}

TEST_P(Groups, JoinWaitsForThoseThatAreAddedMeanwhile) {
  in_world([](World&) {
    std::atomic<int> ended{0};
    Group group;
    group.spawn([&] {
      sleep_for(1ms);
      group.spawn([&] {
        sleep_for(1ms);
        group.spawn([&] { ++ended; });
        ++ended;
      });
      ++ended;
    });
    group.join();
    EXPECT_EQ(ended, 3);
    Event go;
    group.spawn([&] { go.wait(); });
    EXPECT_FALSE(group.join_for(2ms));
    EXPECT_FALSE(group.join_until(Clock::now() + 1ms));
    go.set();
    EXPECT_TRUE(group.join_for(kPatience));
  });
}

TEST_P(Groups, JoinCanRaiseTheFirstFailure) {
  in_world([](World& world) {
    Group group;
    Event go;
    group.spawn([&] { go.wait(); });
    // Held, so that what it threw is not destroyed by its worker: ThreadSanitizer does not see the counting of that.
    const auto failing = group.spawn([&] {
      go.wait();
      throw std::out_of_range{"the only"};
    });
    auto joiner = world.spawn([&] {
      try {
        group.join(raise_error);
        ADD_FAILURE() << "nothing was thrown";
      } catch (const std::out_of_range& error) {
        EXPECT_STREQ(error.what(), "the only");
      }
    });
    ASSERT_TRUE(joiner.soon_waits_in(detail::WaitKind::Event));
    go.set();
    joiner.join();
    group.join(raise_error);
    EXPECT_TRUE(group.join_for(1ms, raise_error));
    group.spawn([] { sleep_for(24h); });
    EXPECT_FALSE(group.join_for(1ms, raise_error));
    group.kill_and_join();
  });
}

TEST_P(Groups, KillEndsAllMembersAndThoseTheyLeave) {
  in_world([](World&) {
    std::atomic<int> unwound{0};
    Group group;
    struct Mark {
      std::atomic<int>& count;
      ~Mark() { ++count; }
    };
    std::vector<Fiber<void>> fibers;
    std::atomic<int> begun{0};
    for (int i = 0; i < 5; ++i) {
      fibers.push_back(group.spawn([&] {
        const Mark mark{unwound};
        ++begun;
        try {
          sleep_for(24h);
        } catch (const Cancelled&) {
          group.spawn([] { sleep_for(24h); });
          throw;
        }
      }));
    }
    ASSERT_TRUE(eventually([&] { return begun == 5; }));
    group.kill_and_join();
    EXPECT_EQ(unwound, 5);
    EXPECT_TRUE(group.empty());
    for (auto& fiber : fibers) EXPECT_THROW(fiber.get(), CancelledError);
  });
}

TEST_P(Groups, KillAsksAndDoesNotWait) {
  in_world([](World&) {
    Group group;
    Event begun;
    Event go;
    group.spawn([&] {
      const Shield shield;
      begun.set();
      go.wait();
    });
    begun.wait();
    group.kill();
    EXPECT_FALSE(group.kill_and_join_for(1ms));
    EXPECT_EQ(group.size(), 1u);
    go.set();
    group.kill_and_join();
  });
}

TEST_P(Groups, AMemberMayKillTheOthers) {
  in_world([](World&) {
    Group group;
    for (int i = 0; i < 3; ++i) group.spawn([] { sleep_for(24h); });
    auto killer = group.spawn([&] {
      group.kill_and_join();
      return group.size();
    });
    EXPECT_EQ(killer.get(), 1u);
  });
}

TEST_P(Groups, MembersRunOnWhenTheGroupIsGone) {
  in_world([](World&) {
    Event go;
    Fiber<int> fiber;
    {
      Group group;
      fiber = group.spawn([&] {
        go.wait();
        return 4;
      });
    }
    EXPECT_FALSE(fiber.done());
    go.set();
    EXPECT_EQ(fiber.get(), 4);
  });
}

TEST_P(Groups, ApplyIsACallInAMember) {
  in_world([](World&) {
    Group group;
    EXPECT_EQ(group.apply([](int a, int b) { return a + b; }, 1, 2), 3);
    EXPECT_THROW(group.apply([] { throw std::out_of_range{"x"}; }), std::out_of_range);
  });
}

// ---- map and imap
// ----------------------------------------------------------------------------------------------------

TEST_P(Groups, MapKeepsTheOrderOfTheElements) {
  in_world([](World&) {
    Group group;
    const std::vector<int> numbers{5, 1, 4, 2, 3};
    const std::vector<int> squares = group.map(
        [](int number) {
          sleep_for(std::chrono::microseconds{number * 300});
          return number * number;
        },
        numbers);
    EXPECT_EQ(squares, (std::vector<int>{25, 1, 16, 4, 9}));
    EXPECT_TRUE(group.empty());
    EXPECT_TRUE(group.map([](int) { return 1; }, std::vector<int>{}).empty());
  });
}

TEST_P(Groups, MapTakesFunctionsOfAnyKindAndRangesOfAnyKind) {
  in_world([](World&) {
    Group group;
    std::atomic<int> sum{0};
    group.map([&](int number) { sum += number; }, std::views::iota(1, 5));
    EXPECT_EQ(sum, 10);
    const std::vector<std::string> words{"a", "bcd"};
    EXPECT_EQ(group.map(&std::string::size, words), (std::vector<std::size_t>{1, 3}));
    int target = 7;
    EXPECT_EQ(group.map([&](int) -> int& { return target; }, std::vector<int>{0}), std::vector<int>{7});
    // What can only be moved goes in and comes out.
    std::vector<std::unique_ptr<int>> owned;
    for (int i = 0; i < 3; ++i) owned.push_back(std::make_unique<int>(i));
    auto moved = std::ranges::subrange{std::move_iterator{owned.begin()}, std::move_iterator{owned.end()}};
    const auto back = group.map(
        [](std::unique_ptr<int> number) {
          ++*number;
          return number;
        },
        moved);
    EXPECT_EQ(*back.at(2), 3);
    EXPECT_EQ(owned[0], nullptr);
  });
}

TEST_P(Groups, MapThrowsTheFirstFailureInOrderAndLeavesNothingRunning) {
  in_world([](World&) {
    Group group;
    std::atomic<int> running{0};
    struct Running {
      std::atomic<int>& count;
      explicit Running(std::atomic<int>& c) : count{c} { ++count; }
      ~Running() { --count; }
    };
    try {
      group.map(
          [&](int number) {
            const Running here{running};
            if (number == 1) {
              sleep_for(2ms);
              throw std::runtime_error{"one"};
            }
            if (number == 2) throw std::runtime_error{"two"};
            if (number > 2) sleep_for(24h);
          },
          std::views::iota(0, 6));
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "one");
    }
    EXPECT_EQ(running, 0);
    EXPECT_TRUE(group.empty());
  });
}

TEST_P(Groups, MapCanRunOutOfTimeAndBeKilled) {
  in_world([](World&) {
    Group group;
    std::atomic<int> unwound{0};
    struct Mark {
      std::atomic<int>& count;
      ~Mark() { ++count; }
    };
    std::atomic<int> begun{0};
    const auto wait_long = [&](int) {
      const Mark mark{unwound};
      ++begun;
      sleep_for(24h);
    };
    {
      const Timeout limit{5ms};
      EXPECT_THROW(group.map(wait_long, std::views::iota(0, 3)), TimeoutExpired);
    }
    EXPECT_EQ(unwound, begun);
    EXPECT_TRUE(group.empty());
    begun = unwound = 0;
    auto mapper = spawn([&] { group.map(wait_long, std::views::iota(0, 3)); });
    ASSERT_TRUE(eventually([&] { return begun == 3; }));
    mapper.kill_and_join();
    EXPECT_EQ(unwound, 3);
    EXPECT_THROW(mapper.get(), CancelledError);
  });
}

TEST_P(Groups, ImapGivesResultsInOrderAsTheyCome) {
  in_world([](World&) {
    Group group;
    Event last;
    std::vector<int> seen;
    for (int result : group.imap(
             [&](int number) {
               if (number == 3) last.wait();
               return number * 2;
             },
             std::vector<int>{1, 2, 3})) {
      seen.push_back(result);
      if (seen.size() == 2) last.set();
    }
    EXPECT_EQ(seen, (std::vector<int>{2, 4, 6}));
  });
}

TEST_P(Groups, ImapGoesOnBehindAFailure) {
  in_world([](World&) {
    Group group;
    auto results = group.imap(
        [](int number) {
          if (number == 2) throw std::out_of_range{"two"};
          return number;
        },
        std::vector<int>{1, 2, 3});
    EXPECT_EQ(results.next(), 1);
    EXPECT_THROW((void)results.next(), std::out_of_range);
    EXPECT_EQ(results.next(), 3);
    EXPECT_EQ(results.next(), std::nullopt);
    EXPECT_EQ(results.next(), std::nullopt);
  });
}

TEST_P(Groups, ImapLooksAheadNoFartherThanAsked) {
  in_world([](World&) {
    Group group;
    std::atomic<int> begun{0};
    auto results = group.imap(
        [&](int number) {
          ++begun;
          return number;
        },
        std::views::iota(0, 20), 3);
    ASSERT_TRUE(eventually([&] { return begun == 3; }));
    for (int i = 0; i < 20; ++i) {
      EXPECT_LE(begun, i + 3);
      EXPECT_EQ(results.next(), i);
    }
    EXPECT_EQ(results.next(), std::nullopt);
    EXPECT_EQ(begun, 20);
  });
}

TEST_P(Groups, ImapUnorderedGivesThemAsTheyEnd) {
  in_world([](World&) {
    Group group;
    Event first;
    std::vector<int> seen;
    for (int number : group.imap_unordered(
             [&](int n) {
               if (n == 0) first.wait();
               return n;
             },
             std::views::iota(0, 5))) {
      seen.push_back(number);
      if (seen.size() == 4) first.set();
    }
    EXPECT_EQ(seen.back(), 0);
    std::ranges::sort(seen);
    EXPECT_EQ(seen, (std::vector<int>{0, 1, 2, 3, 4}));
  });
}

TEST_P(Groups, ImapUnorderedGivesFailuresAndLooksAheadNoFartherThanAsked) {
  in_world([](World&) {
    Group group;
    std::atomic<int> begun{0};
    auto results = group.imap_unordered(
        [&](int number) {
          ++begun;
          if (number % 5 == 0) throw std::out_of_range{"five"};
          return number;
        },
        std::views::iota(0, 20), 2);
    int failed = 0;
    std::set<int> values;
    for (;;) {
      EXPECT_LE(begun, failed + static_cast<int>(values.size()) + 2);
      try {
        const auto value = results.next();
        if (!value) break;
        values.insert(*value);
      } catch (const std::out_of_range&) {
        ++failed;
      }
    }
    EXPECT_EQ(failed, 4);
    EXPECT_EQ(values.size(), 16u);
  });
}

TEST_P(Groups, AnInterruptedNextLosesNoResult) {
  in_world([](World&) {
    Group group;
    Event go;
    auto results = group.imap(
        [&](int number) {
          go.wait();
          return number;
        },
        std::views::iota(0, 3));
    for (int i = 0; i < 2; ++i) {
      const Timeout limit{2ms};
      EXPECT_THROW((void)results.next(), TimeoutExpired);
    }
    go.set();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(results.next(), i);
  });
}

TEST_P(Groups, AnImapThatIsLeftEarlyKillsWhatIsLeft) {
  in_world([](World&) {
    for (const bool ordered : {true, false}) {
      Group group;
      std::atomic<int> running{0};
      struct Running {
        std::atomic<int>& count;
        explicit Running(std::atomic<int>& c) : count{c} { ++count; }
        ~Running() { --count; }
      };
      const auto work = [&](int number) {
        const Running here{running};
        if (number > 0) sleep_for(24h);
        return number;
      };
      {
        auto results = ordered ? group.imap(work, std::views::iota(0, 100), 10)
                               : group.imap_unordered(work, std::views::iota(0, 100), 10);
        EXPECT_EQ(results.next(), 0);
      }
      EXPECT_EQ(running, 0);
      EXPECT_TRUE(group.empty());
      {
        auto untouched = group.imap(work, std::views::iota(0));
        auto moved = std::move(untouched);
      }
      EXPECT_TRUE(group.empty());
      {
        // Endless, and without a bound that would make its feeder wait.
        auto results = ordered ? group.imap(work, std::views::iota(0)) : group.imap_unordered(work, std::views::iota(0));
        EXPECT_EQ(results.next(), 0);
      }
      EXPECT_TRUE(group.empty());
    }
  });
}

TEST_P(Groups, AFailingRangeFailsTheImap) {
  in_world([](World&) {
    Group group;
    const auto numbers = std::views::iota(0, 5) | std::views::transform([](int number) {
                           if (number == 2) throw std::out_of_range{"the range"};
                           return number;
                         });
    auto results = group.imap([](int number) { return number; }, numbers);
    EXPECT_EQ(results.next(), 0);
    EXPECT_EQ(results.next(), 1);
    EXPECT_THROW((void)results.next(), std::out_of_range);
    EXPECT_EQ(results.next(), std::nullopt);
  });
}

TEST_P(Groups, KilledMembersOfAnImapFailAtTheirPlace) {
  in_world([](World&) {
    Group group;
    std::atomic<int> begun{0};
    auto results = group.imap_unordered(
        [&](int) {
          ++begun;
          sleep_for(24h);
        },
        std::views::iota(0, 3));
    ASSERT_TRUE(eventually([&] { return begun == 3; }));
    group.kill();
    for (int i = 0; i < 3; ++i) EXPECT_THROW((void)results.next(), CancelledError);
    EXPECT_EQ(results.next(), std::nullopt);
  });
}

// Members end, are added, discarded and killed while others join.
TEST_P(Groups, EverythingAtOnce) {
  in_world([](World& world) {
    for (int round = 0; round < rounds(60); ++round) {
      Group group;
      auto spawners = world.spawn_many(4, [&](int number) {
        for (int i = 0; i < 10; ++i) {
          auto fiber = group.spawn([i] {
            if (i % 3 == 0) sleep_for(24h);
            if (i % 3 == 1) yield();
          });
          if (number == 0) group.discard(fiber);
          if (number == 1) group.kill();
          if (number == 0 || i % 3 == 0) fiber.kill();
          if (number == 2) group.add(fiber);
        }
      });
      auto joiners = world.spawn_many(2, [&](int) { (void)group.join_for(100us); });
      join_all(spawners);
      join_all(joiners);
      group.kill_and_join();
      EXPECT_TRUE(group.empty());
    }
  });
}

}  // namespace
}  // namespace weft::test
