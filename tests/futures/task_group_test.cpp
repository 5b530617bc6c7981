#include <weft/futures/task_group.hpp>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/scope.hpp>

#include "support/world.hpp"

// After the tests of CPython's asyncio.TaskGroup, in meaning.
namespace weft::test {
namespace {

using detail::WaitKind;

class TaskGroupConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(TaskGroupConformance);

TEST_P(TaskGroupConformance, WaitsForAllChildren) {
  in_world([](World&) {
    std::atomic<int> ended{0};
    TaskGroup group;
    Future<int> left = group.spawn([&] {
      sleep_for(2ms);
      ++ended;
      return 1;
    });
    Future<int> right = group.spawn([&](int value) { return ++ended, value; }, 2);
    group.wait();
    EXPECT_EQ(ended, 2);
    EXPECT_EQ(left.get() + right.get(), 3);
    EXPECT_THROW(group.spawn([] {}), ShutDown);
    TaskGroup empty;
    empty.wait();
  });
}

TEST_P(TaskGroupConformance, ChildrenMaySpawnChildren) {
  in_world([](World&) {
    std::atomic<int> count{0};
    TaskGroup group;
    std::function<void(int)> grow = [&](int depth) {
      ++count;
      for (int i = 0; depth > 0 && i < 3; ++i) (void)group.spawn(grow, depth - 1);
    };
    (void)group.spawn(grow, 4);
    group.wait();
    EXPECT_EQ(count, 121);
  });
}

TEST_P(TaskGroupConformance, TheFirstFailureCallsOffTheOthers) {
  in_world([](World&) {
    std::atomic<int> unwound{0};
    Event never;
    TaskGroup group;
    struct Unwound {
      std::atomic<int>& count;
      ~Unwound() { ++count; }
    };
    std::vector<Future<void>> others;
    std::atomic<int> begun{0};
    for (int i = 0; i < 3; ++i) {
      others.push_back(group.spawn([&] {
        const Unwound mark{unwound};
        ++begun;
        never.wait();
      }));
    }
    EXPECT_TRUE(eventually([&] { return begun == 3; }));
    (void)group.spawn([] { throw std::runtime_error{"the first"}; });
    try {
      group.wait();
      ADD_FAILURE() << "no ExceptionGroup";
    } catch (const ExceptionGroup& failures) {
      ASSERT_EQ(failures.exceptions().size(), 1U);
      EXPECT_NE(std::string{failures.what()}.find("1 failure\n  the first"), std::string::npos) << failures.what();
      EXPECT_THROW(std::rethrow_exception(failures.exceptions()[0]), std::runtime_error);
    }
    EXPECT_EQ(unwound, 3);
    for (Future<void>& other : others) EXPECT_TRUE(other.cancelled());
  });
}

TEST_P(TaskGroupConformance, AllFailuresAreKept) {
  in_world([](World&) {
    Event never;
    std::atomic<int> begun{0};
    TaskGroup group;
    for (int i = 0; i < 3; ++i) {
      (void)group.spawn([&] {
        ++begun;
        try {
          never.wait();
        } catch (const Cancelled&) {
          throw std::runtime_error{"while cleaning up"};
        }
      });
    }
    EXPECT_TRUE(eventually([&] { return begun == 3; }));
    (void)group.spawn([] { throw std::runtime_error{"the first"}; });
    try {
      group.wait();
      ADD_FAILURE() << "no ExceptionGroup";
    } catch (const ExceptionGroup& failures) {
      EXPECT_EQ(failures.exceptions().size(), 4U) << failures.what();
    }
  });
}

TEST_P(TaskGroupConformance, AKilledParentTakesItsChildrenAlong) {
  in_world([](World& world) {
    Event never;
    std::atomic<int> ended{0};
    std::atomic<int> begun{0};
    Runner parent = world.spawn([&] {
      TaskGroup group;
      for (int i = 0; i < 2; ++i) {
        (void)group.spawn([&] {
          struct Ended {
            std::atomic<int>& count;
            ~Ended() { ++count; }
          } mark{ended};
          ++begun;
          never.wait();
        });
      }
      group.wait();
    });
    EXPECT_TRUE(eventually([&] { return begun == 2; }));
    parent.kill();
    EXPECT_EQ(parent.join(), Ending::Cancelled);
    EXPECT_EQ(ended, 2);
  });
}

TEST_P(TaskGroupConformance, AnExceptionInTheParentCallsThemOff) {
  in_world([](World&) {
    Event never;
    std::atomic<int> ended{0};
    std::atomic<bool> begun{false};
    EXPECT_THROW(
        {
          TaskGroup group;
          (void)group.spawn([&] {
            struct Ended {
              std::atomic<int>& count;
              ~Ended() { ++count; }
            } mark{ended};
            begun = true;
            never.wait();
          });
          EXPECT_TRUE(eventually([&] { return begun.load(); }));
          throw std::logic_error{"in the parent"};
        },
        std::logic_error);
    EXPECT_EQ(ended, 1);
  });
}

TEST_P(TaskGroupConformance, TheDestructorWaitsAndReportsWhatNobodyHeard) {
  in_world([](World&) {
    std::atomic<bool> ended{false};
    {
      TaskGroup group;
      (void)group.spawn([&] {
        sleep_for(2ms);
        ended = true;
      });
    }
    EXPECT_TRUE(ended);
  });
}

TEST_P(TaskGroupConformance, AScopesDeadlineEndsItAll) {
  in_world([](World&) {
    Event never;
    std::atomic<bool> began{false};
    std::atomic<bool> ended{false};
    EXPECT_THROW(
        {
          TaskGroup group;
          (void)group.spawn([&] {
            struct Ended {
              std::atomic<bool>& flag;
              ~Ended() { flag = true; }
            } mark{ended};
            began = true;
            never.wait();
          });
          const DeadlineScope soon{5ms};
          group.wait();
        },
        TimeoutError);
    EXPECT_TRUE(ended || !began);
  });
}

TEST_P(TaskGroupConformance, CancelEndsItWithoutFailure) {
  in_world([](World&) {
    Event never;
    TaskGroup group;
    Future<void> child = group.spawn([&] { never.wait(); });
    group.cancel();
    group.wait();
    EXPECT_TRUE(child.cancelled());
    EXPECT_THROW(group.spawn([] {}), ShutDown);
  });
}

TEST_P(TaskGroupConformance, ManyGroupsWithFailuresLeaveNothingBehind) {
  in_world([](World&) {
    for (int round = 0; round < 30; ++round) {
      std::atomic<int> alive{0};
      try {
        TaskGroup group;
        for (int i = 0; i < 10; ++i) {
          (void)group.spawn([&, i] {
            struct Alive {
              std::atomic<int>& count;
              explicit Alive(std::atomic<int>& of) : count{of} { ++count; }
              ~Alive() { --count; }
            } mark{alive};
            if (i == round % 12) throw std::runtime_error{"one"};
            sleep_for(std::chrono::microseconds{50 * i});
          });
        }
        group.wait();
        EXPECT_GE(round % 12, 10);
      } catch (const ExceptionGroup&) {
      } catch (const ShutDown&) {
      }
      EXPECT_EQ(alive, 0);
    }
  });
}

}  // namespace
}  // namespace weft::test
