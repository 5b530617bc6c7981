#include <weft/sync/once.hpp>

#include <gtest/gtest.h>

#include <stdexcept>

#include <weft/base/error.hpp>
#include <weft/sync/deadlock.hpp>
#include <weft/sync/singleton.hpp>

#include "support/world.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

class OnceConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(OnceConformance);

TEST_P(OnceConformance, RunsTheFirstFunctionAndNoOther) {
  in_world([](World&) {
    Once once{"tables"};
    EXPECT_STREQ(once.name(), "tables");
    EXPECT_FALSE(once.done());
    int sum = 0;
    once.call([&](int a, std::unique_ptr<int> b) { sum += a + *b; }, 1, std::make_unique<int>(2));
    EXPECT_TRUE(once.done());
    once.call([&] { sum += 100; });
    EXPECT_EQ(sum, 3);
  });
}

TEST_P(OnceConformance, OthersWaitUntilItHasRunAndSeeWhatItDid) {
  in_world([](World& world) {
    Once once;
    Event goes_on;
    int made = 0;  // not atomic: ThreadSanitizer checks the order
    std::atomic<int> runs{0};
    const auto make = [&] {
      ++runs;
      goes_on.wait();
      made = 42;
    };
    Runner first = world.spawn([&] { once.call(make); });
    ASSERT_TRUE(first.soon_waits_in(WaitKind::Event));
    auto others = world.spawn_many(5, [&](int) {
      once.call(make);
      EXPECT_EQ(made, 42);
    });
    ASSERT_TRUE(soon_all_wait_in(others, WaitKind::Once));
    EXPECT_FALSE(once.done());
    goes_on.set();
    first.join();
    join_all(others);
    EXPECT_EQ(runs, 1);
  });
}

TEST_P(OnceConformance, AFunctionThatThrowsCountsForNothing) {
  in_world([](World&) {
    Once once;
    EXPECT_THROW(once.call([] { throw std::out_of_range{"first"}; }), std::out_of_range);
    EXPECT_FALSE(once.done());
    bool ran = false;
    once.call([&] { ran = true; });
    EXPECT_TRUE(ran);
    EXPECT_TRUE(once.done());
  });
}

TEST_P(OnceConformance, AfterAFailureTheLongestWaitingRunsItsOwn) {
  in_world([](World& world) {
    Once once;
    Event fails;
    std::vector<int> ran;
    Runner first = world.spawn([&] {
      EXPECT_THROW(once.call([&] {
        fails.wait();
        throw std::runtime_error{"no"};
      }),
                   std::runtime_error);
    });
    ASSERT_TRUE(first.soon_waits_in(WaitKind::Event));
    std::vector<Runner> others;
    for (int i = 0; i < 4; ++i) {
      others.push_back(world.spawn([&, i] {
        const auto mine = [&] {
          ran.push_back(i);
          if (i == 0) throw std::runtime_error{"nor this"};
        };
        if (i == 0) {
          EXPECT_THROW(once.call(mine), std::runtime_error);
        } else {
          once.call(mine);
        }
      }));
      ASSERT_TRUE(others.back().soon_waits_in(WaitKind::Once));
    }
    fails.set();
    first.join();
    join_all(others);
    EXPECT_EQ(ran, (std::vector{0, 1}));
    EXPECT_TRUE(once.done());
  });
}

TEST_P(OnceConformance, AKilledRunnerLeavesItToTheNext) {
  in_world([](World& world) {
    Once once;
    std::atomic<int> finished{0};
    Runner first = world.spawn([&] {
      once.call([&] {
        sleep_for(1h);
        ++finished;
      });
    });
    ASSERT_TRUE(first.soon_waits_in(WaitKind::Sleep));
    Runner second = world.spawn([&] { once.call([&] { ++finished; }); });
    ASSERT_TRUE(second.soon_waits_in(WaitKind::Once));
    first.kill();
    EXPECT_EQ(first.join(), Ending::Cancelled);
    EXPECT_EQ(second.join(), Ending::Returned);
    EXPECT_EQ(finished, 1);
  });
}

TEST_P(OnceConformance, WaitingIsACancellationPoint) {
  in_world([](World& world) {
    Once once;
    Event goes_on;
    Runner first = world.spawn([&] { once.call([&] { goes_on.wait(); }); });
    ASSERT_TRUE(first.soon_waits_in(WaitKind::Event));
    auto others = world.spawn_many(2, [&](int) { once.call([] { ADD_FAILURE() << "not its turn"; }); });
    ASSERT_TRUE(soon_all_wait_in(others, WaitKind::Once));
    others[0].kill();
    EXPECT_EQ(others[0].join(), Ending::Cancelled);
    goes_on.set();
    first.join();
    EXPECT_EQ(others[1].join(), Ending::Returned);
  });
}

TEST_P(OnceConformance, TellsWhomAWaiterWaitsFor) {
  in_world([](World& world) {
    Once once;
    Event goes_on;
    std::uint64_t id = 0;
    Runner first = world.spawn([&] {
      once.call([&] {
        id = detail::current_context_id();
        goes_on.wait();
      });
    });
    ASSERT_TRUE(first.soon_waits_in(WaitKind::Event));
    Runner second = world.spawn([&] { once.call([] {}); });
    ASSERT_TRUE(second.soon_waits_in(WaitKind::Once));
    EXPECT_EQ(second.waits_for(), std::vector{id});
    goes_on.set();
    first.join();
    second.join();
  });
}

TEST_P(OnceConformance, AFunctionThatCallsItsOwnOnceIsTold) {
  set_deadlock_hook([](const std::string&) {});
  in_world([](World&) {
    Once once{"tables"};
    try {
      once.call([&] { once.call([] {}); });
      ADD_FAILURE() << "called within itself";
    } catch (const DeadlockError& error) {
      EXPECT_NE(std::string{error.what()}.find("Once \"tables\""), std::string::npos) << error.what();
    }
    EXPECT_FALSE(once.done());
    once.call([] {});
    EXPECT_TRUE(once.done());
  });
  set_deadlock_hook({});
}

// ---- Singleton -------------------------------------------------------------------------------------------------------

class Registry {
 public:
  static std::atomic<int> made;

  int number() const { return number_; }

 private:
  friend class Singleton<Registry>;
  explicit Registry(int number) : number_{number} {
    yield();  // others come meanwhile
    ++made;
  }

  int number_;
};
std::atomic<int> Registry::made{0};

TEST_P(OnceConformance, ASingletonIsMadeOnceAndTheSameForAll) {
  in_world([](World& world) {
    std::vector<Registry*> seen(8);
    auto runners = world.spawn_many(8, [&](int i) { seen[static_cast<std::size_t>(i)] = &Singleton<Registry>::instance(7); });
    join_all(runners);
    EXPECT_EQ(Registry::made, 1);
    for (const Registry* one : seen) EXPECT_EQ(one, seen[0]);
    EXPECT_EQ(Singleton<Registry>::instance(8).number(), 7);
  });
}

struct Reluctant {
  static inline int tries = 0;

  Reluctant() {
    if (++tries < 3) throw std::runtime_error{"not yet"};
  }
};

TEST(Singleton, IsTriedAgainAfterAConstructorThatThrew) {
  Reluctant::tries = 0;
  EXPECT_THROW((void)Singleton<Reluctant>::instance(), std::runtime_error);
  EXPECT_THROW((void)Singleton<Reluctant>::instance(), std::runtime_error);
  EXPECT_EQ(&Singleton<Reluctant>::instance(), &Singleton<Reluctant>::instance());
  EXPECT_EQ(Reluctant::tries, 3);
}

struct alignas(128) Wide {
  char byte = 1;
};

Wide& made_before_main = Singleton<Wide>::instance();

TEST(Singleton, MayBeMadeBeforeMainAndIsAligned) {
  EXPECT_EQ(&made_before_main, &Singleton<Wide>::instance());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&made_before_main) % 128, 0u);
  EXPECT_EQ(made_before_main.byte, 1);
}

}  // namespace
}  // namespace weft::test
