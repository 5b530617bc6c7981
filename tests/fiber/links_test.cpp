#include <weft/fiber/fiber.hpp>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/io/blocking.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/local.hpp>
#include <weft/sync/lock.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

class Links : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(Links);

/// What links say, in order.
class Notes {
 public:
  void add(std::string text) {
    const std::scoped_lock guard{lock_};
    texts_.push_back(std::move(text));
  }
  std::vector<std::string> all() {
    const std::scoped_lock guard{lock_};
    return texts_;
  }

 private:
  Lock lock_;
  std::vector<std::string> texts_;
};
using Texts = std::vector<std::string>;

TEST_P(Links, ExampleOfAValue) {
  in_world([](World&) {
    int seen = 0;
    auto fiber = spawn([] { return 42; });
    fiber.rawlink([&](const Fiber<int>& ended) { seen = *ended.value(); });
    fiber.join();
    EXPECT_EQ(seen, 42);
    EXPECT_EQ(fiber.get(), 42);
  });
}

TEST_P(Links, AreCalledInTheirOrderBeforeAnybodyIsLetGo) {
  in_world([](World&) {
    Event go;
    Notes notes;
    auto fiber = spawn([&] { go.wait(); });
    for (const char* text : {"first", "second", "third"}) {
      fiber.rawlink([&notes, text](const Fiber<void>&) {
        yield();
        notes.add(text);
      });
    }
    EXPECT_EQ(notes.all(), Texts{});
    go.set();
    fiber.join();
    EXPECT_EQ(notes.all(), (Texts{"first", "second", "third"}));
    fiber.rawlink([&](const Fiber<void>&) { notes.add("late"); });
    EXPECT_EQ(notes.all().back(), "late");
    EXPECT_EQ(notes.all().size(), 4u);
  });
}

TEST_P(Links, OnValueAndOnExceptionAreToldApart) {
  in_world([](World&) {
    Notes notes;
    const auto watch = [&](auto& fiber, const std::string& name) {
      fiber.rawlink(
          [&notes, name](const auto& ended) { notes.add(name + (ended.successful() ? " ok" : " not ok")); });
      fiber.link_value([&notes, name](const auto&) { notes.add(name + " value"); });
      fiber.link_exception([&notes, name](const auto& ended) {
        try {
          std::rethrow_exception(ended.exception());
        } catch (const std::exception& error) {
          notes.add(name + ' ' + error.what());
        }
      });
      fiber.join();
    };
    auto returns = spawn([] { return std::make_unique<int>(1); });
    watch(returns, "returns");
    auto throws = spawn([]() -> int { throw std::runtime_error{"broken"}; });
    watch(throws, "throws");
    auto killed = spawn({.name = "victim"}, [] { sleep_for(24h); });
    killed.kill();
    watch(killed, "killed");
    EXPECT_EQ(notes.all(), (Texts{"returns ok", "returns value", "throws not ok", "throws broken",
                                  "killed not ok", "killed fiber \"victim\" was killed"}));
  });
}

TEST_P(Links, SeeAFiberThatHasEnded) {
  in_world([](World&) {
    Event go;
    auto fiber = spawn({.name = "runner"}, [&] {
      go.wait();
      return std::string{"done"};
    });
    const auto id = fiber.id();
    bool seen = false;
    fiber.rawlink([&](const Fiber<std::string>& ended) {
      seen = ended.ready() && ended.done() && ended.successful() && *ended.value() == "done" &&
             !ended.exception() && ended.id() == id && ended.name() == "runner";
    });
    EXPECT_FALSE(fiber.ready());
    EXPECT_FALSE(fiber.successful());
    EXPECT_EQ(fiber.value(), nullptr);
    EXPECT_EQ(fiber.exception(), nullptr);
    go.set();
    fiber.join();
    EXPECT_TRUE(seen);
  });
}

TEST_P(Links, ValueAndExceptionDoNotTakeTheResult) {
  in_world([](World&) {
    auto value = spawn([] { return std::make_unique<int>(7); });
    value.join();
    EXPECT_EQ(**value.value(), 7);
    EXPECT_EQ(**value.value(), 7);
    EXPECT_TRUE(value.successful());
    EXPECT_EQ(*value.get(), 7);

    int target = 0;
    auto reference = spawn([&]() -> int& { return target; });
    reference.join();
    EXPECT_EQ(reference.value(), &target);

    auto failed = spawn([]() -> int { throw std::out_of_range{"seven"}; });
    failed.join();
    EXPECT_FALSE(failed.successful());
    EXPECT_EQ(failed.value(), nullptr);
    EXPECT_THROW(std::rethrow_exception(failed.exception()), std::out_of_range);
    EXPECT_THROW(std::rethrow_exception(failed.exception()), std::out_of_range);
    EXPECT_THROW(failed.get(), std::out_of_range);

    auto killed = spawn([] { sleep_for(24h); });
    killed.kill_and_join();
    EXPECT_TRUE(killed.ready());
    EXPECT_FALSE(killed.successful());
    EXPECT_THROW(std::rethrow_exception(killed.exception()), CancelledError);
    EXPECT_THROW(killed.get(), CancelledError);
  });
}

TEST_P(Links, CanBeTakenBackUntilTheyAreCalled) {
  in_world([](World&) {
    Event go;
    Notes notes;
    auto fiber = spawn([&] { go.wait(); });
    auto note = [&](const char* text) { return [&notes, text](const Fiber<void>&) { notes.add(text); }; };
    const LinkId first = fiber.rawlink(note("first"));
    fiber.rawlink(note("second"));
    const LinkId third = fiber.rawlink(note("third"));
    EXPECT_TRUE(fiber.unlink(third));
    EXPECT_FALSE(fiber.unlink(third));
    const LinkId fourth = fiber.rawlink(note("fourth"));
    EXPECT_TRUE(fiber.unlink(first));
    fiber.rawlink(note("fifth"));
    go.set();
    fiber.join();
    EXPECT_FALSE(fiber.unlink(fourth));
    EXPECT_EQ(notes.all(), (Texts{"second", "fourth", "fifth"}));
  });
}

TEST_P(Links, WhatATakenBackLinkHoldsIsReleased) {
  in_world([](World&) {
    Event go;
    auto held = std::make_shared<int>(1);
    auto fiber = spawn([&] { go.wait(); });
    const LinkId taken_back = fiber.rawlink([held](const Fiber<void>&) {});
    fiber.rawlink([held](const Fiber<void>&) {});
    EXPECT_EQ(held.use_count(), 3);
    EXPECT_TRUE(fiber.unlink(taken_back));
    EXPECT_EQ(held.use_count(), 2);
    go.set();
    fiber.join();
    EXPECT_EQ(held.use_count(), 1);
    fiber.rawlink([held](const Fiber<void>&) {});
    EXPECT_EQ(held.use_count(), 1);
  });
}

TEST_P(Links, ThrowingOnesHarmNobody) {
  in_world([](World&) {
    testing::internal::CaptureStderr();
    Notes notes;
    auto fiber = spawn({.name = "linked"}, [] { return 1; });
    fiber.rawlink([](const Fiber<int>&) { throw std::runtime_error{"the first link"}; });
    fiber.rawlink([](const Fiber<int>&) { throw 42; });
    fiber.rawlink([](const Fiber<int>&) { throw Cancelled{}; });
    fiber.rawlink([&](const Fiber<int>&) { notes.add("the last"); });
    fiber.join();
    fiber.rawlink([](const Fiber<int>&) { throw std::runtime_error{"a late link"}; });
    const std::string report = testing::internal::GetCapturedStderr();
    EXPECT_EQ(notes.all(), Texts{"the last"});
    EXPECT_EQ(fiber.get(), 1);
    EXPECT_NE(report.find("a link of fiber \"linked\" threw an exception: the first link\n"),
              std::string::npos)
        << report;
    EXPECT_NE(report.find("an exception that is not a std::exception"), std::string::npos) << report;
    EXPECT_NE(report.find("a late link"), std::string::npos) << report;
  });
}

TEST_P(Links, OfAKilledFiberMayBlockAndKillsDoNotReachThem) {
  in_world([](World&) {
    Event linked;
    Event go;
    bool finished = false;
    auto fiber = spawn([] { sleep_for(24h); });
    fiber.rawlink([&](const Fiber<void>&) {
      sleep_for(1ms);
      linked.set();
      go.wait();
      finished = true;
    });
    fiber.kill();
    ASSERT_TRUE(linked.wait_for(kPatience));
    EXPECT_TRUE(fiber.done());
    fiber.kill();
    EXPECT_FALSE(fiber.join_for(1ms));
    go.set();
    fiber.join();
    EXPECT_TRUE(finished);
  });
}

TEST_P(Links, AddedByALinkAreCalledNext) {
  in_world([](World&) {
    Notes notes;
    Event go;
    Fiber<void> fiber = spawn([&] { go.wait(); });
    fiber.rawlink([&](const Fiber<void>&) {
      notes.add("outer");
      fiber.rawlink([&](const Fiber<void>&) { notes.add("inner"); });
      notes.add("outer's end");
    });
    fiber.rawlink([&](const Fiber<void>&) { notes.add("second"); });
    go.set();
    fiber.join();
    EXPECT_EQ(notes.all(), (Texts{"outer", "outer's end", "second", "inner"}));
  });
}

TEST_P(Links, OfAFiberThatNeverRanAreCalledToo) {
  in_world([](World&) {
    Notes notes;
    auto fiber = spawn_later(24h, [&] { notes.add("ran"); });
    fiber.link_exception([&](const Fiber<void>&) { notes.add("killed"); });
    fiber.kill();
    fiber.join();
    EXPECT_EQ(notes.all(), Texts{"killed"});
  });
}

TEST_P(Links, AreCalledThoughTheHandleIsGone) {
  in_world([](World&) {
    Event go;
    Event called;
    {
      auto fiber = spawn([&] { go.wait(); });
      fiber.rawlink([&](const Fiber<void>&) { called.set(); });
    }
    EXPECT_FALSE(called.is_set());
    go.set();
    EXPECT_TRUE(called.wait_for(kPatience));
  });
}

TEST_P(Links, MayUseLocals) {
  in_world([](World&) {
    static Local<std::shared_ptr<int>> local;
    auto held = std::make_shared<int>(1);
    Event linked;
    auto fiber = spawn([&] {
      *local = held;
      linked.wait();
    });
    bool fresh = false;
    fiber.rawlink([&](const Fiber<void>&) {
      fresh = !*local;  // the fiber's own have ended with it
      *local = held;
    });
    linked.set();
    fiber.join();
    EXPECT_TRUE(fresh);
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_FALSE(spawn([&] { return static_cast<bool>(*local); }).get());
  });
}

class PlainLinks : public LeakFree {};

TEST_F(PlainLinks, ALinkThatIsToldOfAFailureCountsAsWaiting) {
  testing::internal::CaptureStderr();
  {
    Runtime runtime{{.workers = 2, .name = "test"}};
    auto told = runtime.spawn([] { throw std::runtime_error{"told"}; });
    told.link_exception([](const Fiber<void>&) {});
    auto untold = runtime.spawn([] { throw std::runtime_error{"untold"}; });
    untold.link_value([](const Fiber<void>&) {});
    auto asked = runtime.spawn([] { throw std::runtime_error{"asked"}; });
    EXPECT_TRUE(eventually([&] { return told.done() && untold.done() && asked.done(); }));
    EXPECT_NE(asked.exception(), nullptr);
  }
  const std::string report = testing::internal::GetCapturedStderr();
  EXPECT_NE(report.find(": untold\n"), std::string::npos) << report;
  EXPECT_EQ(report.find(": told\n"), std::string::npos) << report;
  EXPECT_EQ(report.find(": asked\n"), std::string::npos) << report;
}

TEST_F(PlainLinks, ARuntimeThatEndsInterruptsThem) {
  bool interrupted = false;
  {
    Event linked;
    Event waiting;
    Runtime runtime{{.workers = 2, .name = "test"}};
    auto fiber = runtime.spawn([&] { linked.wait(); });
    fiber.rawlink([&](const Fiber<void>&) {
      waiting.set();
      try {
        sleep_for(24h);
      } catch (const Cancelled&) {
        interrupted = true;
        throw;
      }
    });
    linked.set();
    ASSERT_TRUE(waiting.wait_for(kPatience));
  }
  EXPECT_TRUE(interrupted);
}

/// Lets the process map no more than a little.
class NoRoom {
 public:
  NoRoom() {
    std::ifstream statm{"/proc/self/statm"};
    rlim_t pages = 0;
    statm >> pages;
    ::getrlimit(RLIMIT_AS, &before_);
    const rlimit little{pages * static_cast<rlim_t>(::getpagesize()) + (rlim_t{1} << 30), before_.rlim_max};
    ::setrlimit(RLIMIT_AS, &little);
  }
  NoRoom(const NoRoom&) = delete;
  NoRoom& operator=(const NoRoom&) = delete;
  ~NoRoom() { ::setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

TEST_F(PlainLinks, OfAFiberThatFindsNoStackRunWhereTheyMayBlock) {
  if (under_thread_sanitizer() || under_address_sanitizer())
    GTEST_SKIP() << "sanitizers need the room themselves";
  for (const unsigned workers : {1U, 2U}) {
    Runtime runtime{{.workers = workers, .name = "test"}};
    runtime.run([] {
      blocking([] {});  // its thread is there already
      const NoRoom no_room;
      bool told = false;
      auto fiber = spawn_later(1ms, {.stack_bytes = 0xFFFF0000}, [] { ADD_FAILURE() << "it ran"; });
      fiber.link_exception([&](const Fiber<void>& failed) {
        sleep_for(1ms);
        told = failed.ready() && failed.exception() != nullptr;
      });
      fiber.join();
      EXPECT_TRUE(told);
      EXPECT_THROW(fiber.get(), std::exception);
    });
  }
}

TEST_F(PlainLinks, EmptyHandlesRefuseThem) {
  Fiber<int> empty;
  EXPECT_THROW(empty.rawlink([](const Fiber<int>&) {}), InvalidStateError);
  EXPECT_THROW((void)empty.value(), InvalidStateError);
  EXPECT_THROW((void)empty.exception(), InvalidStateError);
  EXPECT_THROW((void)empty.ready(), InvalidStateError);
  EXPECT_THROW(empty.unlink(LinkId{1}), InvalidStateError);
}

// End, kill, link, unlink and the drop of the handle, all at once: each link is called once, or taken back once.
TEST_P(Links, RaceWithEndsKillsAndDrops) {
  in_world([](World& world) {
    for (int round = 0; round < rounds(300); ++round) {
      std::atomic<int> called{0};
      std::atomic<int> taken_back{0};
      std::atomic<int> linked{0};
      auto fiber = std::make_shared<Fiber<int>>(spawn([round] {
        if (round % 3 == 0) yield();
        if (round % 3 == 1) sleep_for(1h);
        return 1;
      }));
      Event begin;
      auto killer = world.spawn([&] {
        begin.wait();
        fiber->kill();
      });
      auto linker = world.spawn([&] {
        begin.wait();
        for (int i = 0; i < 5; ++i) {
          const LinkId link = fiber->rawlink([&](const Fiber<int>&) { ++called; });
          ++linked;
          if (i % 2 == 1 && fiber->unlink(link)) ++taken_back;
        }
      });
      begin.set();
      killer.join();
      linker.join();
      if (round % 2 == 0) fiber->join();
      fiber.reset();
      EXPECT_TRUE(eventually([&] { return called + taken_back == linked; }));
    }
  });
}

}  // namespace
}  // namespace weft::test
