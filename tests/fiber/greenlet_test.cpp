#include <weft/fiber/greenlet.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <cfenv>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/fiber/generator.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/queue/queue.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/local.hpp>
#include <weft/sync/lock.hpp>

#include "support/program.hpp"
#include "support/stress.hpp"
#include "support/use_stack.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

/// Says when it is destroyed.
struct Mark {
  std::string& journal;
  std::string name;
  ~Mark() { journal += "~" + name + ' '; }
};

class Greenlets : public InEveryWorld {
 protected:
  /// The body runs in a context of its own of each kind.
  void in_context(const std::function<void()>& body) {
    in_world([&](World& world) { EXPECT_EQ(world.spawn(body).join(), Ending::Returned); });
  }
};
WEFT_IN_EVERY_WORLD(Greenlets);

// ---- switching and values --------------------------------------------------------------------------------------------

TEST_P(Greenlets, PassValuesBothWays) {
  in_context([] {
    Greenlet<int> greenlet{[](Greenlet<int>& self, int first) { return self.parent().switch_to(first + 1); }};
    EXPECT_FALSE(greenlet.started());
    EXPECT_EQ(greenlet.switch_to(1), 2);
    EXPECT_TRUE(greenlet.started());
    EXPECT_FALSE(greenlet.dead());
    EXPECT_EQ(greenlet.switch_to(7), 7);
    EXPECT_TRUE(greenlet.dead());
  });
}

TEST_P(Greenlets, SwitchByName) {
  in_context([] {
    std::string journal;
    Greenlet<> other;
    Greenlet<> one{[&] {
      journal += "12 ";
      other.switch_to();
      journal += "34 ";
    }};
    other = Greenlet<>{[&] {
      journal += "56 ";
      one.switch_to();
      journal += "78 ";
    }};
    one.switch_to();
    EXPECT_EQ(journal, "12 56 34 ");
    EXPECT_TRUE(one.dead());
    EXPECT_FALSE(other.dead());
    other.switch_to();
    EXPECT_EQ(journal, "12 56 34 78 ");
  });
}

TEST_P(Greenlets, PassSeveralValuesAndSuchAsCanOnlyBeMoved) {
  in_context([] {
    Greenlet<int, std::unique_ptr<std::string>> greenlet{[](auto& self, int number, std::unique_ptr<std::string> text) {
      auto [n, t] = *self.parent().switch_to(number + 1, std::make_unique<std::string>(*text + "!"));
      return std::make_tuple(n * 2, std::move(t));
    }};
    auto first = greenlet.switch_to(1, std::make_unique<std::string>("hello"));
    ASSERT_TRUE(first);
    EXPECT_EQ(std::get<0>(*first), 2);
    EXPECT_EQ(*std::get<1>(*first), "hello!");
    auto second = greenlet.switch_to(5, std::make_unique<std::string>("bye"));
    ASSERT_TRUE(second);
    EXPECT_EQ(std::get<0>(*second), 10);
    EXPECT_EQ(*std::get<1>(*second), "bye");
  });
}

TEST_P(Greenlets, EndWithoutAResultBringsNothing) {
  in_context([] {
    Greenlet<int> silent{[](int) {}};
    EXPECT_EQ(silent.switch_to(1), std::nullopt);
    Greenlet<int> exiting{[](int) -> int { throw GreenletExit{}; }};
    EXPECT_EQ(exiting.switch_to(1), std::nullopt);
    Greenlet<int> none{[](int) { return std::optional<int>{}; }};
    EXPECT_EQ(none.switch_to(1), std::nullopt);
  });
}

TEST_P(Greenlets, MakeAGeneratorOfAnyCallDepth) {
  in_context([] {
    struct Walk {
      static void tree(Greenlet<int>& to, int depth) {
        if (depth == 0) return;
        tree(to, depth - 1);
        to.switch_to(depth);
        tree(to, depth - 1);
      }
    };
    Greenlet<int> walker{[](Greenlet<int>& self, int depth) {
      auto caller = self.parent();
      Walk::tree(caller, depth);
    }};
    std::vector<int> seen;
    for (auto value = walker.switch_to(3); value; value = walker.switch_to(0)) seen.push_back(*value);
    EXPECT_EQ(seen, (std::vector<int>{1, 2, 1, 3, 1, 2, 1}));
  });
}

TEST_P(Greenlets, SwitchToOneselfReturnsTheValues) {
  in_context([] {
    EXPECT_EQ(Greenlet<int>::current().switch_to(3), 3);
    Greenlet<int> greenlet{[](Greenlet<int>& self, int value) { return *self.switch_to(value + 1) + 10; }};
    EXPECT_EQ(greenlet.switch_to(1), 12);
  });
}

TEST_P(Greenlets, DeadOnePassesValuesToItsParent) {
  in_context([] {
    Greenlet<int> dead{[](int) {}};
    EXPECT_EQ(dead.switch_to(1), std::nullopt);
    EXPECT_EQ(dead.switch_to(2), 2);  // its parent is the caller
    int got = 0;
    Greenlet<int> parent{[&](Greenlet<int>& self, int) {
      auto up = self.parent();
      Greenlet<int> child{[](int) {}};
      child.switch_to(0);
      up.switch_to(0);
      return 0;
    }};
    EXPECT_EQ(parent.switch_to(0), 0);
    Greenlet<int> orphan{[](int) {}};
    orphan.switch_to(0);
    orphan.set_parent(parent);
    got = *orphan.switch_to(5);  // arrives in `parent`, which ends
    EXPECT_EQ(got, 0);
    EXPECT_TRUE(parent.dead());
  });
}

TEST_P(Greenlets, ValuesOfOtherTypesAreAnError) {
  in_context([] {
    Greenlet<int> greenlet{[](Greenlet<int>& self, int) {
      // Whoever waits above waits for int.
      Greenlet<std::string> text{[](Greenlet<std::string>& inner, std::string) {
        auto up = inner.parent().parent();
        EXPECT_THROW(up.switch_to("text"), InvalidStateError);
      }};
      EXPECT_EQ(text.switch_to("x"), std::nullopt);
      return self.parent().switch_to(2);
    }};
    EXPECT_EQ(greenlet.switch_to(1), 2);
    EXPECT_EQ(greenlet.switch_to(3), 3);
  });
}

TEST_P(Greenlets, ResultOfAnotherTypeIsAnErrorInTheParent) {
  in_context([] {
    Greenlet<int> numbers{[](Greenlet<int>& self, int) { return self.parent().switch_to(0); }};
    EXPECT_EQ(numbers.switch_to(0), 0);
    Greenlet<std::string> text{[](std::string) { return std::string{"result"}; }};
    text.set_parent(numbers);
    // It arrives in `numbers`, which waits for an int, dies of it, and so on.
    EXPECT_THROW(text.switch_to("x"), InvalidStateError);
    EXPECT_TRUE(numbers.dead());
    EXPECT_TRUE(text.dead());
  });
}

// ---- parents and ends ------------------------------------------------------------------------------------------------

TEST_P(Greenlets, ParentIsWhoeverMadeIt) {
  in_context([] {
    auto root = Greenlet<>::current();
    EXPECT_FALSE(root.parent().valid());
    EXPECT_TRUE(root.started());
    EXPECT_FALSE(root.dead());
    Greenlet<> greenlet{[&](Greenlet<>& self) {
      EXPECT_TRUE(self.parent().is(root));
      EXPECT_TRUE(Greenlet<>::current().is(self));
      EXPECT_FALSE(Greenlet<>::current().is(root));
      Greenlet<> inner{[&](Greenlet<>& innermost) { EXPECT_TRUE(innermost.parent().is(self)); }};
      inner.switch_to();
      EXPECT_TRUE(inner.dead());
    }};
    greenlet.switch_to();
    EXPECT_TRUE(greenlet.dead());
    EXPECT_TRUE(Greenlet<>::current().is(root));
    EXPECT_FALSE(Greenlet<>{}.valid());
    EXPECT_THROW(Greenlet<>{}.switch_to(), InvalidStateError);
    EXPECT_THROW(root.set_parent(greenlet), InvalidStateError);
  });
}

TEST_P(Greenlets, EndGoesToTheParentThatWasSet) {
  in_context([] {
    std::string journal;
    Greenlet<int> one{[&](Greenlet<int>& self, int value) {
      journal += "one:" + std::to_string(value) + ' ';
      const int next = *self.parent().switch_to(0);
      journal += "one:" + std::to_string(next) + ' ';
      return 30;
    }};
    one.switch_to(1);
    Greenlet<int> other{[&](int value) { return value + 1; }};
    other.set_parent(one);
    EXPECT_EQ(other.switch_to(10), 30);
    EXPECT_EQ(journal, "one:1 one:11 ");
    EXPECT_TRUE(other.dead());
    EXPECT_TRUE(one.dead());
  });
}

TEST_P(Greenlets, ParentThatHasNotStartedIsStartedByTheEnd) {
  in_context([] {
    Greenlet<int> parent{[](int value) { return value * 2; }};
    Greenlet<int> child{[](int value) { return value + 1; }};
    child.set_parent(parent);
    EXPECT_EQ(child.switch_to(4), 10);
    Greenlet<int> needy{[](int value) { return value; }};
    Greenlet<int> silent{[](int) {}};
    silent.set_parent(needy);
    EXPECT_THROW(silent.switch_to(1), InvalidStateError);
    EXPECT_TRUE(needy.dead());
  });
}

TEST_P(Greenlets, EndGoesToTheNextParentWhenTheFirstIsDead) {
  in_context([] {
    Greenlet<int> child{[](Greenlet<int>& self, int) {
      (void)self.switch_to(0);
      return 5;
    }};
    Greenlet<int> parent{[&](int) { child.set_parent(Greenlet<int>::current()); }};
    parent.switch_to(0);
    ASSERT_TRUE(parent.dead());
    EXPECT_EQ(child.switch_to(1), 5);
  });
}

TEST_P(Greenlets, MayNotBecomeEachOthersParent) {
  in_context([] {
    Greenlet<> a{[] {}};
    Greenlet<> b{[] {}};
    b.set_parent(a);
    EXPECT_THROW(a.set_parent(b), InvalidStateError);
    EXPECT_THROW(a.set_parent(a), InvalidStateError);
    b.switch_to();
    EXPECT_TRUE(a.dead());
  });
}

TEST_P(Greenlets, ExceptionGoesToTheParent) {
  in_context([] {
    Greenlet<int> greenlet{[](Greenlet<int>& self, int) -> int {
      self.parent().switch_to(1);
      throw std::runtime_error{"out of the greenlet"};
    }};
    EXPECT_EQ(greenlet.switch_to(0), 1);
    EXPECT_EQ(std::uncaught_exceptions(), 0);
    try {
      greenlet.switch_to(0);
      FAIL();
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "out of the greenlet");
    }
    EXPECT_TRUE(greenlet.dead());
    EXPECT_EQ(std::current_exception(), nullptr);
  });
}

TEST_P(Greenlets, ExceptionPassesThroughParentsThatDoNotCatchIt) {
  in_context([] {
    std::string journal;
    Greenlet<> outer{[&] {
      const Mark mark{journal, "outer"};
      Greenlet<> inner{[&] {
        const Mark inner_mark{journal, "inner"};
        throw 7;
      }};
      inner.switch_to();
    }};
    EXPECT_THROW(outer.switch_to(), int);
    EXPECT_EQ(journal, "~inner ~outer ");
  });
}

TEST_P(Greenlets, ExceptionsInFlightStayWithTheirStack) {
  in_context([] {
    struct SwitchesWhileUnwinding {
      Greenlet<>& to;
      ~SwitchesWhileUnwinding() {
        EXPECT_EQ(std::uncaught_exceptions(), 1);
        to.switch_to();
        EXPECT_EQ(std::uncaught_exceptions(), 1);
      }
    };
    Greenlet<> greenlet{[](Greenlet<>& self) {
      auto up = self.parent();
      try {
        EXPECT_EQ(std::uncaught_exceptions(), 0);
        const SwitchesWhileUnwinding unwinding{up};
        throw std::runtime_error{"inner"};
      } catch (const std::runtime_error& error) {
        up.switch_to();
        EXPECT_STREQ(error.what(), "inner");
      }
    }};
    try {
      throw std::runtime_error{"outer"};
    } catch (const std::runtime_error& error) {
      greenlet.switch_to();
      EXPECT_EQ(std::uncaught_exceptions(), 0);
      greenlet.switch_to();
      EXPECT_STREQ(error.what(), "outer");
      greenlet.switch_to();
      EXPECT_THROW(throw, std::runtime_error);
    }
    EXPECT_TRUE(greenlet.dead());
  });
}

TEST_P(Greenlets, RoundingModeStaysWithItsStack) {
  in_context([] {
    Greenlet<> greenlet{[](Greenlet<>& self) {
      EXPECT_EQ(std::fegetround(), FE_TONEAREST);
      std::fesetround(FE_UPWARD);
      self.parent().switch_to();
      EXPECT_EQ(std::fegetround(), FE_UPWARD);
    }};
    std::fesetround(FE_DOWNWARD);
    greenlet.switch_to();
    EXPECT_EQ(std::fegetround(), FE_DOWNWARD);
    greenlet.switch_to();
    EXPECT_EQ(std::fegetround(), FE_DOWNWARD);
    std::fesetround(FE_TONEAREST);
  });
}

// ---- throwing into ---------------------------------------------------------------------------------------------------

TEST_P(Greenlets, ThrowArrivesWhereItWaits) {
  in_context([] {
    Greenlet<int> greenlet{[](Greenlet<int>& self, int) {
      auto up = self.parent();
      try {
        up.switch_to(1);
      } catch (const std::runtime_error&) {
        return *up.switch_to(2);
      }
      return 3;
    }};
    EXPECT_EQ(greenlet.switch_to(0), 1);
    EXPECT_EQ(greenlet.throw_into(std::runtime_error{""}), 2);
    EXPECT_THROW(greenlet.throw_into(std::logic_error{""}), std::logic_error);
    EXPECT_TRUE(greenlet.dead());
    EXPECT_THROW(greenlet.throw_into(std::exception_ptr{}), InvalidStateError);
  });
}

TEST_P(Greenlets, ThrowOfGreenletExitEndsQuietly) {
  in_context([] {
    std::string journal;
    Greenlet<int> greenlet{[&](Greenlet<int>& self, int) {
      const Mark mark{journal, "stack"};
      try {
        self.parent().switch_to(1);
      } catch (const std::exception&) {
        journal += "taken for a failure ";
      }
      return 2;
    }};
    EXPECT_EQ(greenlet.switch_to(0), 1);
    EXPECT_EQ(greenlet.throw_into(), std::nullopt);
    EXPECT_TRUE(greenlet.dead());
    EXPECT_EQ(journal, "~stack ");
  });
}

TEST_P(Greenlets, ThrowIntoOneThatHasNotStartedOrHasEnded) {
  in_context([] {
    bool ran = false;
    Greenlet<> fresh{[&] { ran = true; }};
    EXPECT_THROW(fresh.throw_into(std::runtime_error{""}), std::runtime_error);
    EXPECT_TRUE(fresh.dead());
    EXPECT_THROW(fresh.throw_into(std::runtime_error{""}), std::runtime_error);
    EXPECT_NO_THROW(fresh.throw_into());
    Greenlet<> quiet{[&] { ran = true; }};
    EXPECT_NO_THROW(quiet.throw_into());
    EXPECT_TRUE(quiet.dead());
    EXPECT_FALSE(ran);
    EXPECT_THROW(Greenlet<>::current().throw_into(7), int);
    // In the parent, not in the caller.
    Greenlet<> parent{[](Greenlet<>& self) {
      EXPECT_THROW(self.parent().switch_to(), std::logic_error);
    }};
    parent.switch_to();
    fresh.set_parent(parent);
    EXPECT_NO_THROW(fresh.throw_into(std::logic_error{""}));
    EXPECT_TRUE(parent.dead());
  });
}

// ---- owners ----------------------------------------------------------------------------------------------------------

TEST_P(Greenlets, DestroyedHalfWayAreUnwound) {
  in_context([] {
    std::string journal;
    {
      Greenlet<> greenlet{[&](Greenlet<>& self) {
        const Mark outer{journal, "outer"};
        try {
          const Mark inner{journal, "inner"};
          self.parent().switch_to();
          ADD_FAILURE();
        } catch (const GreenletExit&) {
          journal += "exit ";
          throw;
        }
      }};
      greenlet.switch_to();
      journal += "leaves ";
    }
    EXPECT_EQ(journal, "leaves ~inner exit ~outer ");
  });
}

TEST_P(Greenlets, DestroyedBeforeTheStartReleaseTheirCallable) {
  in_context([] {
    auto shared = std::make_shared<int>(1);
    {
      Greenlet<> fresh{[shared] { ADD_FAILURE(); }};
      EXPECT_EQ(shared.use_count(), 2);
    }
    EXPECT_EQ(shared.use_count(), 1);
    Greenlet<> ended{[shared] {}};
    ended.switch_to();
    EXPECT_EQ(shared.use_count(), 1);
  });
}

TEST_P(Greenlets, AssignmentEndsTheFormerOne) {
  in_context([] {
    std::string journal;
    Greenlet<> greenlet{[&](Greenlet<>& self) {
      const Mark mark{journal, "first"};
      self.parent().switch_to();
    }};
    greenlet.switch_to();
    greenlet = Greenlet<>{[&] { journal += "second "; }};
    EXPECT_EQ(journal, "~first ");
    greenlet.switch_to();
    EXPECT_EQ(journal, "~first second ");
    Greenlet<> moved = std::move(greenlet);
    EXPECT_TRUE(moved.dead());
    EXPECT_FALSE(greenlet.valid());
  });
}

TEST_P(Greenlets, SwallowedExitIsThrownAgainAtTheNextSwitch) {
  in_context([] {
    int caught = 0;
    {
      Greenlet<> greenlet{[&](Greenlet<>& self) {
        auto up = self.parent();
        for (int i = 0; i < 3; ++i) {
          try {
            up.switch_to();
          } catch (const GreenletExit&) {
            ++caught;
          }
        }
      }};
      greenlet.switch_to();
    }
    EXPECT_EQ(caught, 3);
  });
}

TEST_P(Greenlets, SwitchInADestructorDoesNotStopTheUnwinding) {
  in_context([] {
    std::string journal;
    Greenlet<> helper{[&](Greenlet<>& self) {
      for (;;) {
        journal += "helps ";
        self.parent().switch_to();
      }
    }};
    struct Switching {
      Greenlet<>& to;
      ~Switching() { to.switch_to(); }
    };
    {
      Greenlet<> greenlet{[&](Greenlet<>& self) {
        auto up = self.parent();
        const Mark mark{journal, "stack"};
        const Switching to_helper{helper};
        const Switching to_parent{up};
        up.switch_to();
      }};
      greenlet.switch_to();
    }
    EXPECT_EQ(journal, "helps ~stack ");
  });
}

TEST_P(Greenlets, OwnerMayBeDestroyedByTheGreenletItself) {
  in_context([] {
    std::string journal;
    auto greenlet = std::make_unique<Greenlet<int>>();
    *greenlet = Greenlet<int>{[&](Greenlet<int>& self, int) {
      const Mark mark{journal, "stack"};
      auto up = self.parent();
      greenlet.reset();
      journal += "alone ";
      up.switch_to(1);  // throws GreenletExit
      ADD_FAILURE();
      return 2;
    }};
    EXPECT_EQ(greenlet->switch_to(0), std::nullopt);
    EXPECT_EQ(journal, "alone ~stack ");
    auto ending = std::make_unique<Greenlet<int>>();
    *ending = Greenlet<int>{[&](int value) {
      ending.reset();
      return value + 1;
    }};
    EXPECT_EQ(ending->switch_to(1), 2);
  });
}

TEST_P(Greenlets, OwnerMayBeDestroyedByAChild) {
  in_context([] {
    std::string journal;
    auto parent = std::make_unique<Greenlet<>>();
    auto child = std::make_unique<Greenlet<>>();
    *parent = Greenlet<>{[&] {
      const Mark mark{journal, "parent"};
      *child = Greenlet<>{[&] {
        parent.reset();
        journal += "child ";
      }};
      child->switch_to();
      ADD_FAILURE();
    }};
    parent->switch_to();
    EXPECT_EQ(journal, "~parent child ");
    EXPECT_TRUE(child->dead());
  });
}

TEST_P(Greenlets, NestedOnesAreUnwoundWithTheirOwner) {
  in_context([] {
    std::string journal;
    {
      Greenlet<> outer{[&](Greenlet<>& self) {
        const Mark mark{journal, "outer"};
        Greenlet<> inner{[&] {
          const Mark inner_mark{journal, "inner"};
          self.parent().switch_to();
        }};
        inner.switch_to();
        ADD_FAILURE();
      }};
      outer.switch_to();
    }
    EXPECT_EQ(journal, "~inner ~outer ");
  });
}

TEST_P(Greenlets, LeftOverOnesAreUnwoundAtTheEndOfTheirContext) {
  in_world([](World& world) {
    std::string journal;
    Greenlet<> kept;
    Runner runner = world.spawn([&] {
      kept = Greenlet<>{[&](Greenlet<>& self) {
        const Mark mark{journal, "stack"};
        self.parent().switch_to();
      }};
      kept.switch_to();
      EXPECT_EQ(journal, "");
    });
    EXPECT_EQ(runner.join(), Ending::Returned);
    EXPECT_TRUE(kept.dead());
    EXPECT_EQ(journal, "~stack ");
    EXPECT_THROW(kept.switch_to(), InvalidStateError);
  });
}

TEST_P(Greenlets, BelongToTheirThreadOrFiber) {
  in_world([](World& world) {
    std::string journal;
    auto other = std::make_unique<Greenlet<>>([&](Greenlet<>& self) {
      const Mark mark{journal, "stack"};
      self.parent().switch_to();
    });
    Greenlet<> fresh{[] {}};
    other->switch_to();
    Runner runner = world.spawn([&] {
      EXPECT_THROW(other->switch_to(), InvalidStateError);
      EXPECT_THROW(other->throw_into(), InvalidStateError);
      EXPECT_THROW(fresh.switch_to(), InvalidStateError);
      Greenlet<> own{[] {}};
      EXPECT_THROW(own.set_parent(fresh), InvalidStateError);
      own.switch_to();
      // Inside one as well.
      Greenlet<> inside{[&] { EXPECT_THROW(other->switch_to(), InvalidStateError); }};
      inside.switch_to();
    });
    EXPECT_EQ(runner.join(), Ending::Returned);
    EXPECT_EQ(journal, "");
    other->switch_to();
    EXPECT_EQ(journal, "~stack ");
  });
}

TEST_P(Greenlets, OwnerThatIsDestroyedElsewhereLeavesItToItsContext) {
  in_world([](World& world) {
    std::string journal;
    auto greenlet = std::make_unique<Greenlet<>>();
    Event made;
    Event dropped;
    Runner maker = world.spawn([&] {
      *greenlet = Greenlet<>{[&](Greenlet<>& self) {
        const Mark mark{journal, "stack"};
        self.parent().switch_to();
      }};
      greenlet->switch_to();
      made.set();
      dropped.wait();
      EXPECT_EQ(journal, "");
    });
    made.wait();
    greenlet.reset();
    dropped.set();
    EXPECT_EQ(maker.join(), Ending::Returned);
    EXPECT_EQ(journal, "~stack ");
  });
}

TEST_P(Greenlets, HandlesOutliveWhatTheyReferTo) {
  in_world([](World& world) {
    Greenlet<> root;
    Greenlet<> self_handle;
    Runner runner = world.spawn([&] {
      root = Greenlet<>::current();
      Greenlet<> greenlet{[&](Greenlet<>&) { self_handle = Greenlet<>::current(); }};
      greenlet.switch_to();
    });
    EXPECT_EQ(runner.join(), Ending::Returned);
    EXPECT_TRUE(root.dead());
    EXPECT_TRUE(self_handle.dead());
    EXPECT_TRUE(self_handle.parent().is(root));
    EXPECT_THROW(root.switch_to(), InvalidStateError);
  });
}

TEST_P(Greenlets, AreNamed) {
  in_context([] {
    Greenlet<> named{{.name = "left"}, [] {}};
    EXPECT_EQ(named.name(), "left");
    Greenlet<> unnamed{[] {}};
    EXPECT_EQ(unnamed.name().substr(0, 9), "Greenlet-");
  });
}

// ---- stacks ----------------------------------------------------------------------------------------------------------

TEST_P(Greenlets, HaveStacksOfTheSizeAskedFor) {
  in_context([] {
    for (const std::size_t bytes : {64u * 1024, 1024u * 1024, 100'000u}) {
      Greenlet<> greenlet{{.stack_bytes = bytes}, [bytes] { EXPECT_GT(use_stack(bytes / 3), 0); }};
      greenlet.switch_to();
    }
    Greenlet<> usual{[] { EXPECT_GT(use_stack(80'000), 0); }};
    usual.switch_to();
  });
}

TEST_P(Greenlets, ManyAreAliveAtOnce) {
  in_context([] {
    const int count = under_thread_sanitizer() ? 50 : 1000;
    std::vector<Greenlet<int>> greenlets;
    for (int i = 0; i < count; ++i) {
      greenlets.emplace_back([i](Greenlet<int>& self, int value) {
        auto up = self.parent();
        for (;;) value = *up.switch_to(value + i);
      });
    }
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < count; ++i) EXPECT_EQ(greenlets[static_cast<std::size_t>(i)].switch_to(round), round + i);
    }
  });
}

TEST_P(Greenlets, ManyComeAndGo) {
  in_context([] {
    int sum = 0;
    const int count = rounds(3000);
    for (int i = 0; i < count; ++i) {
      Greenlet<int> greenlet{[](Greenlet<int>& self, int value) { return self.parent().switch_to(value); }};
      sum += *greenlet.switch_to(1);
      if (i % 2 == 0) sum += *greenlet.switch_to(1);
    }
    EXPECT_EQ(sum, count + (count + 1) / 2);
  });
}

TEST_P(Greenlets, FormALongRing) {
  in_context([] {
    const int count = 40;
    std::vector<Greenlet<int>> ring(static_cast<std::size_t>(count));
    auto root = Greenlet<int>::current();
    for (int i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      ring[at] = Greenlet<int>{[&, at](int value) {
        for (;;) value = at + 1 < ring.size() ? *ring[at + 1].switch_to(value + 1) : *root.switch_to(value + 1);
      }};
    }
    for (int round = 0; round < 20; ++round) EXPECT_EQ(ring[0].switch_to(round), round + count);
  });
}

// ---- blocking in a greenlet ------------------------------------------------------------------------------------------

TEST_P(Greenlets, BlockTheirThreadOrFiber) {
  in_world([](World& world) {
    Queue<int> there{1};
    Queue<int> back{1};
    const int laps = rounds(200);
    Runner echo = world.spawn([&] {
      Greenlet<int> inner{[&](Greenlet<int>& self, int) {
        for (;;) {
          const int number = there.get();
          yield();
          self.parent().switch_to(number);
        }
      }};
      for (int i = 0; i < laps; ++i) back.put(*inner.switch_to(0) + 1);
    });
    Greenlet<int> sender{[&](Greenlet<int>& self, int number) {
      auto up = self.parent();
      for (;;) {
        there.put(number);
        sleep_for(1us);
        number = *up.switch_to(back.get());
      }
    }};
    for (int i = 0; i < laps; ++i) EXPECT_EQ(sender.switch_to(i), i + 1);
    EXPECT_EQ(echo.join(), Ending::Returned);
  });
}

TEST_P(Greenlets, ShareTheLocksAndLocalsOfTheirContext) {
  in_context([] {
    static Local<int> local;
    *local = 1;
    Lock lock;
    const auto id = detail::current_context_id();
    lock.lock();
    Greenlet<> greenlet{[&](Greenlet<>& self) {
      EXPECT_EQ(*local, 1);
      *local = 2;
      EXPECT_EQ(detail::current_context_id(), id);
      lock.unlock();
      self.parent().switch_to();
      lock.lock();
    }};
    greenlet.switch_to();
    EXPECT_EQ(*local, 2);
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
    greenlet.switch_to();
    lock.unlock();
  });
}

TEST_P(Greenlets, AKillUnwindsTheOneThatBlocksAndItsParents) {
  in_world([](World& world) {
    std::string journal;
    Event never;
    Runner runner = world.spawn([&] {
      const Mark root{journal, "root"};
      Greenlet<> outer{[&] {
        const Mark outer_mark{journal, "outer"};
        Greenlet<> inner{[&] {
          const Mark inner_mark{journal, "inner"};
          never.wait();
        }};
        inner.switch_to();
      }};
      Greenlet<> bystander{[&](Greenlet<>& self) {
        const Mark mark{journal, "bystander"};
        self.parent().switch_to();
      }};
      bystander.switch_to();
      outer.switch_to();
    });
    ASSERT_TRUE(runner.soon_waits_in(WaitKind::Event));
    runner.kill();
    EXPECT_EQ(runner.join(), Ending::Cancelled);
    EXPECT_EQ(journal, "~inner ~outer ~bystander ~root ");
  });
}

TEST_P(Greenlets, MayRunGeneratorsAndTheOtherWayRound) {
  in_context([] {
    struct Body {
      static Generator<int> switching(Greenlet<int>& up) {
        for (int i = 0;; ++i) co_yield *up.switch_to(i);
      }
    };
    Greenlet<int> greenlet{[](Greenlet<int>& self, int) {
      auto up = self.parent();
      int sum = 0;
      for (const int value : Body::switching(up)) {
        if (value < 0) return sum;
        sum += value;
      }
      return -1;
    }};
    EXPECT_EQ(greenlet.switch_to(0), 0);
    EXPECT_EQ(greenlet.switch_to(10), 1);
    EXPECT_EQ(greenlet.switch_to(20), 2);
    EXPECT_EQ(greenlet.switch_to(-1), 30);
  });
}

TEST_P(Greenlets, ARuntimeMayBeDrivenFromInside) {
  in_context([] {
    Greenlet<int> greenlet{[](Greenlet<int>& self, int value) {
      Runtime runtime{{.workers = 1}};
      const int result = runtime.run([&] {
        EXPECT_THROW(self.parent().switch_to(0), InvalidStateError);  // that is the thread's
        auto child = spawn([&] {
          sleep_for(10us);
          Greenlet<int> inner{[](int number) {
            yield();
            return number + 1;
          }};
          return *inner.switch_to(value);
        });
        return child.get();
      });
      return *self.parent().switch_to(result) + use_stack(60'000);
    }};
    EXPECT_EQ(greenlet.switch_to(1), 2);
    EXPECT_GT(greenlet.switch_to(1), 1);
  });
}

TEST(GreenletMigration, GoesWithTheFiberFromThreadToThread) {
  Runtime runtime{{.workers = 3, .name = "test", .migrate_always = true}};
  std::atomic<int> moved{0};
  runtime.run([&] {
    std::vector<Fiber<void>> fibers;
    for (int i = 0; i < 12; ++i) {
      fibers.push_back(spawn([&, i] {
        const int begin = ::gettid();
        bool was_moved = false;
        Greenlet<int> greenlet{[&](Greenlet<int>& self, int value) {
          auto up = self.parent();
          for (;;) {
            try {
              yield();
              throw std::runtime_error{std::to_string(value)};
            } catch (const std::runtime_error& error) {
              sleep_for(20us);
              was_moved = was_moved || ::gettid() != begin;
              EXPECT_EQ(error.what(), std::to_string(value));
              value = *up.switch_to(value + i);
            }
          }
        }};
        const Deadline deadline = Deadline::after(kPatience);
        for (int lap = 0; lap < rounds(100) || (!was_moved && !deadline.has_passed()); ++lap) {
          EXPECT_EQ(greenlet.switch_to(lap), lap + i);
          if (lap % 3 == 0) yield();
          EXPECT_EQ(std::current_exception(), nullptr);
        }
        moved += was_moved;
      }));
    }
    join_all(fibers);
  });
  EXPECT_EQ(moved, 12);
}

TEST(GreenletDestructor, ReportsWhatTheGreenletThrowsWhileItIsDestroyed) {
  testing::internal::CaptureStderr();
  {
    Greenlet<> greenlet{{.name = "stubborn"}, [](Greenlet<>& self) {
      try {
        self.parent().switch_to();
      } catch (const GreenletExit&) {
        throw std::runtime_error{"not like this"};
      }
    }};
    greenlet.switch_to();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "weft: greenlet \"stubborn\" was destroyed before its end, and threw: not like this\n");
}

// ---- seen from outside -----------------------------------------------------------------------------------------------

TEST(GreenletProgram, OverflowKillsTheProcessNamingGreenletAndStackSize) {
  for (const char* where : {"thread", "fiber"}) {
    const ProgramResult result = run_program("greenlet_reports", {"overflow", where});
    EXPECT_EQ(result.signal, SIGSEGV) << result.output;
    EXPECT_EQ(count_of(result.output, "greenlet \"greedy\" overflowed its stack of 65536 bytes"), 1) << result.output;
    EXPECT_EQ(count_of(result.output, "overflowed"), 1) << result.output;
  }
}

TEST(GreenletProgram, StallInsideIsReportedWithItsPlace) {
  if (under_thread_sanitizer() || under_address_sanitizer()) GTEST_SKIP() << "places are not told apart under a sanitizer";
  const ProgramResult result = run_program("greenlet_reports", {"stall"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(count_of(result.output, "fiber \"number cruncher\" has kept its worker"), 1) << result.output;
  EXPECT_GE(count_of(result.output, "called from greenlet_reports"), 2) << result.output;
}

TEST(GreenletProgram, DeadlockInsideIsReportedWithItsPlaceAndThrownThere) {
  for (const char* where : {"thread", "fiber"}) {
    const ProgramResult result = run_program("greenlet_reports", {"deadlock", where});
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_EQ(count_of(result.output, "2 contexts wait for each other"), 1) << result.output;
    EXPECT_EQ(count_of(result.output, "one of them unwound its greenlet\n"), 1) << result.output;
  }
}

TEST(GreenletProgram, ForkInsideLetsTheChildGoOnWithAllGreenlets) {
  // In the child it ignores what the stack does that called fork(), and so misses what orders it with the others.
  if (under_thread_sanitizer()) GTEST_SKIP() << "ThreadSanitizer knows one stack in a forked child";
  for (const char* where : {"thread", "fiber"}) {
    const ProgramResult result = run_program("greenlet_reports", {"fork", where});
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_EQ(without_stall_reports(result.output), "child: 3 6 unwound\nparent: 3 6 unwound\n") << result.output;
  }
}

}  // namespace
}  // namespace weft::test
