#include <weft/sync/local.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>

#include <weft/base/error.hpp>
#include <weft/fiber/spawn.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

// After threading.local's tests in CPython's Lib/test/test_threading_local.py, and what weft promises beyond them.
namespace weft::test {
namespace {

using detail::WaitKind;

/// Counts those that exist.
struct Counted {
  explicit Counted(std::atomic<int>& of, int v = 0) : alive{of}, value{v} { ++alive; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --alive; }

  std::atomic<int>& alive;
  int value;
};

class LocalConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(LocalConformance);

TEST_P(LocalConformance, EachContextHasItsOwn) {
  in_world([](World& world) {
    Local<int> number;
    Local<std::string> text;
    *number = -1;
    auto runners = world.spawn_many(8, [&](int i) {
      EXPECT_FALSE(number.has_value());
      EXPECT_EQ(*number, 0);
      EXPECT_TRUE(number.has_value());
      *number = i;
      *text = std::to_string(i);
      for (int turn = 0; turn < 20; ++turn) {
        turn % 4 ? yield() : sleep_for(20us);  // a fiber may change its worker
        EXPECT_EQ(*number, i);
        EXPECT_EQ(text->size(), 1u);
      }
      EXPECT_EQ(*text, std::to_string(i));
    });
    join_all(runners);
    EXPECT_EQ(*number, -1);
    EXPECT_FALSE(text.has_value());
  });
}

TEST_P(LocalConformance, AnInitializerMakesEachValue) {
  in_world([](World& world) {
    std::atomic<int> calls{0};
    Local<std::unique_ptr<int>> local{[&] {
      yield();  // it may block
      return std::make_unique<int>(++calls);
    }};
    auto runners = world.spawn_many(5, [&](int) {
      const int mine = **local;
      yield();
      EXPECT_EQ(**local, mine);
    });
    join_all(runners);
    EXPECT_EQ(calls, 5);
  });
}

TEST_P(LocalConformance, AnInitializerThatThrowsIsTriedAgain) {
  in_world([](World&) {
    int calls = 0;
    Local<int> local{[&] {
      if (++calls == 1) throw std::runtime_error{"not yet"};
      return calls;
    }};
    EXPECT_THROW((void)*local, std::runtime_error);
    EXPECT_FALSE(local.has_value());
    EXPECT_EQ(*local, 2);
    EXPECT_EQ(*local, 2);
  });
}

struct Immovable {
  explicit Immovable(int v) : value{v} {}
  Immovable(const Immovable&) = delete;
  Immovable& operator=(const Immovable&) = delete;
  int value;
};

TEST_P(LocalConformance, HoldsWhatCanNeitherBeMovedNorMadeByDefault) {
  in_world([](World&) {
    Local<Immovable> local{[] { return Immovable{7}; }};
    EXPECT_EQ(local->value, 7);
  });
}

TEST_P(LocalConformance, ValuesEndWithTheirContext) {
  in_world([](World& world) {
    std::atomic<int> alive{0};
    Local<Counted> local{[&] { return Counted{alive}; }};
    Event enough;
    auto runners = world.spawn_many(5, [&](int) {
      (void)*local;
      enough.wait();
    });
    ASSERT_TRUE(eventually([&] { return alive == 5; }));
    (void)*local;
    enough.set();
    join_all(runners);
    EXPECT_EQ(alive, 1);  // before a join returns
    local.reset();
    EXPECT_EQ(alive, 0);
    EXPECT_FALSE(local.has_value());
    local.reset();
    (void)*local;
    EXPECT_EQ(alive, 1);
    local.reset();
  });
}

TEST_P(LocalConformance, ValuesEndWithTheirLocal) {
  in_world([](World& world) {
    std::atomic<int> alive{0};
    auto local = std::make_unique<Local<Counted>>([&] { return Counted{alive}; });
    Event enough;
    auto runners = world.spawn_many(5, [&](int) {
      (void)**local;
      enough.wait();
    });
    (void)**local;
    ASSERT_TRUE(soon_all_wait_in(runners, WaitKind::Event));
    EXPECT_EQ(alive, 6);
    local.reset();
    EXPECT_EQ(alive, 0);
    // Its place is used again, the old values are not.
    Local<int> next;
    EXPECT_FALSE(next.has_value());
    *next = 3;
    enough.set();
    join_all(runners);
    EXPECT_EQ(*next, 3);
  });
}

TEST_P(LocalConformance, AKilledContextDestroysItsValues) {
  in_world([](World& world) {
    std::atomic<int> alive{0};
    Local<Counted> local{[&] { return Counted{alive}; }};
    Runner killed = world.spawn([&] {
      (void)*local;
      sleep_for(1h);
    });
    ASSERT_TRUE(killed.soon_waits_in(WaitKind::Sleep));
    EXPECT_EQ(alive, 1);
    killed.kill();
    EXPECT_EQ(killed.join(), Ending::Cancelled);
    EXPECT_EQ(alive, 0);
  });
}

/// Calls what it is given when it is destroyed.
struct AtEnd {
  std::function<void()> act;
  ~AtEnd() {
    if (act) act();
  }
};

TEST_P(LocalConformance, TheYoungestValueGoesFirst) {
  in_world([](World& world) {
    std::vector<int> order;
    Local<AtEnd> locals[3];
    world.spawn([&] {
           for (const int i : {1, 0, 2}) locals[i]->act = [&order, i] { order.push_back(i); };
         })
        .join();
    EXPECT_EQ(order, (std::vector{2, 0, 1}));
  });
}

TEST_P(LocalConformance, DestructorsMayBlockAlsoInAKilledContext) {
  in_world([](World& world) {
    for (const bool by_kill : {false, true}) {
      Event goes_on;
      std::atomic<bool> began{false};
      std::atomic<bool> destroyed{false};
      detail::Context* context = nullptr;
      Local<AtEnd> local;
      Runner runner = world.spawn([&] {
        context = &detail::current_context();
        local->act = [&] {
          began = true;
          goes_on.wait();
          sleep_for(1us);
          yield();
          check_cancelled();
          destroyed = true;
        };
        if (by_kill) sleep_for(1h);
      });
      if (by_kill) {
        ASSERT_TRUE(runner.soon_waits_in(WaitKind::Sleep));
        runner.kill();
      }
      ASSERT_TRUE(eventually([&] { return began.load(); }));
      detail::request_cancel(*context);  // nothing interrupts a destructor
      sleep_for(1ms);
      EXPECT_FALSE(destroyed);
      goes_on.set();
      EXPECT_EQ(runner.join(), by_kill ? Ending::Cancelled : Ending::Returned);
      EXPECT_TRUE(destroyed);
    }
  });
}

TEST_P(LocalConformance, DestructorsMayUseLocals) {
  in_world([](World& world) {
    std::atomic<int> alive{0};
    Local<Counted> older{[&] { return Counted{alive, 1}; }};
    Local<Counted> never_used{[&] { return Counted{alive, 2}; }};
    Local<AtEnd> oldest;
    Local<AtEnd> youngest;
    std::vector<int> seen;
    world.spawn([&] {
           oldest->act = [&] { seen.push_back(older->value); };  // gone by then: a fresh one
           older->value = 11;
           youngest->act = [&, own = &*youngest] {
             seen.push_back(older->value);       // still there
             seen.push_back(never_used->value);  // fresh
             EXPECT_EQ(&*youngest, own);         // the one that is being destroyed
             youngest.reset();
           };
         })
        .join();
    EXPECT_EQ(seen, (std::vector{11, 2, 1}));
    EXPECT_EQ(alive, 0);
  });
}

TEST_P(LocalConformance, ValuesThatMakeEachOtherAnewStayWithTheirLocal) {
  in_world([](World& world) {
    std::atomic<int> alive{0};
    {
      struct Again {
        Counted counted;
        std::function<void()> act;
        ~Again() { act(); }
      };
      std::atomic<bool> closing{false};
      Local<Again>* other_of_a = nullptr;
      Local<Again>* other_of_b = nullptr;
      const auto touch = [&](Local<Again>*& other) {
        return [&] {
          if (!closing) (void)**other;
        };
      };
      Local<Again> a{[&] { return Again{Counted{alive}, touch(other_of_a)}; }};
      Local<Again> b{[&] { return Again{Counted{alive}, touch(other_of_b)}; }};
      other_of_a = &b;
      other_of_b = &a;
      world.spawn([&] { (void)*a; }).join();
      EXPECT_GE(alive, 1);
      closing = true;
    }
    EXPECT_EQ(alive, 0);
  });
}

TEST_P(LocalConformance, ManyLocalsComeAndGo) {
  in_world([](World& world) {
    std::atomic<int> alive{0};
    const int turns = rounds(200);
    auto runners = world.spawn_many(4, [&](int number) {
      Random random{static_cast<std::uint64_t>(number)};
      std::vector<std::unique_ptr<Local<Counted>>> own;
      for (int i = 0; i < turns; ++i) {
        if (own.size() < 20 && random.below(3) != 0) {
          own.push_back(std::make_unique<Local<Counted>>([&, number] { return Counted{alive, number}; }));
        } else if (!own.empty()) {
          own.erase(own.begin() + random.below(static_cast<std::uint32_t>(own.size())));
        }
        for (auto& local : own) {
          EXPECT_EQ((*local)->value, number);
          if (random.below(8) == 0) yield();
          if (random.below(8) == 0) local->reset();
        }
      }
    });
    join_all(runners);
    EXPECT_EQ(alive, 0);
  });
}

TEST_P(LocalConformance, ContextsEndWhileTheirLocalsDo) {
  in_world([](World& world) {
    std::atomic<int> alive{0};
    for (int i = 0; i < rounds(200); ++i) {
      std::optional<Local<Counted>> local;
      local.emplace([&] { return Counted{alive}; });
      Event enough;
      auto runners = world.spawn_many(3, [&](int) {
        (void)**local;
        enough.wait();
      });
      ASSERT_TRUE(soon_all_wait_in(runners, WaitKind::Event));
      enough.set();
      if (i % 2) yield();
      local.reset();
      join_all(runners);
      EXPECT_EQ(alive, 0);
    }
  });
}

// A fresh fiber may get the context of one that ended.
TEST(Local, AFiberFindsNothingOfThoseBeforeIt) {
  Local<int> local;
  Runtime runtime{{.workers = 1}};
  runtime.run([&] {
    for (int i = 0; i < 100; ++i) {
      spawn([&] { EXPECT_EQ((*local)++, 0); }).join();
    }
  });
}

// The destructor of a result that nobody took runs on the fiber that left it, after everything else.
TEST(Local, ValuesUsedByTheResultOfAFiberEndWithTheFiber) {
  std::atomic<int> alive{0};
  std::atomic<int> after{0};
  Event gone;
  Local<Counted> local{[&] { return Counted{alive}; }};
  struct Result {
    std::unique_ptr<AtEnd> end;
  };
  Runtime runtime{{.workers = 1}};
  runtime.run([&] {
    for (int i = 0; i < 10; ++i) {
      spawn([&] {
        EXPECT_FALSE(local.has_value());
        auto end = std::make_unique<AtEnd>();
        end->act = [&] {
          EXPECT_FALSE(local.has_value());
          ++local->value;
          sleep_for(1us);
          EXPECT_EQ(local->value, 1);
          ++after;
        };
        return Result{std::move(end)};
      });
      ASSERT_TRUE(eventually([&] { return after == i + 1; }));
    }
    ASSERT_TRUE(eventually([&] { return alive == 0; }));
  });
}

}  // namespace
}  // namespace weft::test
