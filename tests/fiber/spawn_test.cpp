#include <weft/fiber/spawn.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/fiber/runtime.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/event.hpp>

#include "support/eventually.hpp"
#include "support/leaks.hpp"

namespace weft::test {
namespace {

class Spawn : public LeakFree {};

TEST_F(Spawn, Example) {
  auto answer = spawn([](int a, int b) { return a * b; }, 6, 7);
  auto greeting = spawn({.name = "greeter"}, [] { return std::string{"hello"}; });
  EXPECT_EQ(greeting.name(), "greeter");
  EXPECT_EQ(answer.get(), 42);
  EXPECT_EQ(greeting.get(), "hello");
}

TEST_F(Spawn, RunsOnAFiberAndNotOnTheCallersThread) {
  EXPECT_FALSE(in_fiber());
  const int here = ::gettid();
  EXPECT_TRUE(spawn([&] { return in_fiber() && ::gettid() != here; }).get());
}

TEST_F(Spawn, CopiesArgumentsAndSharesReferencesOnlyThroughRef) {
  std::string text = "mine";
  spawn([](std::string& copy) { copy = "changed"; }, std::ref(text)).get();
  EXPECT_EQ(text, "changed");
  spawn([](std::string copy) { copy += "!"; }, text).get();
  EXPECT_EQ(text, "changed");
}

TEST_F(Spawn, MovesArgumentsCallableAndResult) {
  auto number = std::make_unique<int>(7);
  auto fiber = spawn([owned = std::make_unique<int>(6)](std::unique_ptr<int> other) {
    return std::make_unique<int>(*owned * *other);
  }, std::move(number));
  EXPECT_EQ(number, nullptr);
  EXPECT_EQ(*fiber.get(), 42);
}

TEST_F(Spawn, GivesReferencesAsReferences) {
  int value = 1;
  int& result = spawn([&]() -> int& { return value; }).get();
  EXPECT_EQ(&result, &value);
}

struct Account {
  int balance = 40;
  int deposit(int amount) { return balance += amount; }
};

int magnitude(int value) { return value < 0 ? -value : value; }

TEST_F(Spawn, CallsMemberFunctionsAndFunctionPointers) {
  Account account;
  EXPECT_EQ(spawn(&Account::deposit, &account, 2).get(), 42);
  EXPECT_EQ(account.balance, 42);
  EXPECT_EQ(spawn(&Account::balance, std::ref(account)).get(), 42);
  EXPECT_EQ(spawn(magnitude, -42).get(), 42);
}

// A result without a default constructor, without a copy, over-aligned.
struct alignas(64) Demanding {
  explicit Demanding(int v) : value{v} {}
  Demanding(Demanding&&) = default;
  int value;
};

TEST_F(Spawn, ResultNeedsNoDefaultConstructorAndMayBeOverAligned) {
  auto fiber = spawn([] { return Demanding{42}; });
  const Demanding result = fiber.get();
  EXPECT_EQ(result.value, 42);
  auto aligned = spawn([argument = Demanding{1}] { return reinterpret_cast<std::uintptr_t>(&argument) % 64; });
  EXPECT_EQ(aligned.get(), 0u);
}

struct OutOfCoffee {
  int cups;
};

TEST_F(Spawn, ExceptionsPassUnchanged) {
  auto fails = spawn([]() -> int { throw std::out_of_range{"seven"}; });
  try {
    fails.get();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::out_of_range& error) {
    EXPECT_STREQ(error.what(), "seven");
  }
  try {
    spawn([] { throw OutOfCoffee{3}; }).get();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const OutOfCoffee& failure) {
    EXPECT_EQ(failure.cups, 3);
  }
  EXPECT_THROW(spawn([] { throw 42; }).get(), int);
}

TEST_F(Spawn, JoinDoesNotThrowWhatTheFiberThrew) {
  auto fiber = spawn([] { throw OutOfCoffee{1}; });
  fiber.join();
  EXPECT_TRUE(fiber.done());
  EXPECT_THROW(fiber.get(), OutOfCoffee);
}

TEST_F(Spawn, GetEmptiesTheHandle) {
  auto fiber = spawn([] { return 1; });
  EXPECT_TRUE(fiber.valid());
  EXPECT_EQ(fiber.get(), 1);
  EXPECT_FALSE(fiber.valid());
  EXPECT_THROW(fiber.get(), InvalidStateError);
  EXPECT_THROW(fiber.join(), InvalidStateError);
  EXPECT_THROW((void)fiber.done(), InvalidStateError);
  EXPECT_THROW(fiber.kill(), InvalidStateError);
  Fiber<int> empty;
  EXPECT_FALSE(empty.valid());
  EXPECT_THROW((void)empty.join_for(1ms), InvalidStateError);
}

TEST_F(Spawn, MovedHandleRefersToTheSameFiber) {
  Event go;
  auto first = spawn([&] {
    go.wait();
    return 5;
  });
  const auto id = first.id();
  Fiber<int> second = std::move(first);
  EXPECT_FALSE(first.valid());
  EXPECT_EQ(second.id(), id);
  Fiber<int> third;
  third = std::move(second);
  EXPECT_EQ(third.id(), id);
  go.set();
  EXPECT_EQ(third.get(), 5);
}

TEST_F(Spawn, DoneTellsWhetherItHasEnded) {
  Event go;
  auto fiber = spawn([&] { go.wait(); });
  EXPECT_FALSE(fiber.done());
  go.set();
  EXPECT_TRUE(eventually([&] { return fiber.done(); }));
  fiber.join();
  fiber.join();  // as often as one likes
  EXPECT_TRUE(fiber.join_for(0ms));
}

TEST_F(Spawn, JoinForGivesUpInTimeAndTheFiberRunsOn) {
  Event go;
  auto fiber = spawn([&] {
    go.wait();
    return 3;
  });
  const Stopwatch watch;
  EXPECT_FALSE(fiber.join_for(30ms));
  EXPECT_GE(watch.elapsed(), 30ms);
  EXPECT_FALSE(fiber.join_for(-1s));
  const auto point = Clock::now() + 10ms;
  EXPECT_FALSE(fiber.join_until(point));
  EXPECT_GE(Clock::now(), point);
  go.set();
  EXPECT_TRUE(fiber.join_for(kPatience));
  EXPECT_EQ(fiber.get(), 3);
}

TEST_F(Spawn, SeveralMayJoinOneFiber) {
  Event go;
  auto fiber = spawn([&] { go.wait(); });
  std::vector<Fiber<bool>> joiners;
  for (int i = 0; i < 5; ++i) joiners.push_back(spawn([&] { return fiber.join_for(kPatience); }));
  sleep_for(2ms);
  go.set();
  for (auto& joiner : joiners) EXPECT_TRUE(joiner.get());
}

TEST_F(Spawn, JoiningOneselfIsRefused) {
  Fiber<void> fiber;
  Event assigned;
  fiber = spawn([&] {
    assigned.wait();
    EXPECT_THROW(fiber.join(), InvalidStateError);
    EXPECT_THROW((void)fiber.join_for(1ms), InvalidStateError);
  });
  assigned.set();
  fiber.join();
}

TEST_F(Spawn, JoinAllWaitsForAll) {
  std::atomic<int> ended{0};
  const auto body = [&] {
    sleep_for(2ms);
    ++ended;
  };
  std::vector<Fiber<void>> fibers;
  for (int i = 0; i < 10; ++i) fibers.push_back(spawn(body));
  join_all(fibers);
  EXPECT_EQ(ended, 10);
  auto a = spawn(body);
  auto b = spawn([&] {
    body();
    return 1;
  });
  join_all(a, b);
  EXPECT_EQ(ended, 12);
  join_all(spawn(body), spawn(body));
  EXPECT_EQ(ended, 14);
}

TEST_F(Spawn, JoinAllWithATimeoutTellsWhetherAllEnded) {
  Event go;
  std::vector<Fiber<void>> fibers;
  for (int i = 0; i < 4; ++i) {
    fibers.push_back(spawn([&, i] {
      if (i == 1) go.wait();
    }));
  }
  const Stopwatch watch;
  EXPECT_FALSE(join_all(fibers, 30ms));
  EXPECT_GE(watch.elapsed(), 30ms);
  // The one that is late does not hide the others.
  EXPECT_TRUE(fibers[0].done() && fibers[2].done() && fibers[3].done());
  EXPECT_FALSE(fibers[1].done());
  go.set();
  EXPECT_TRUE(join_all(fibers, kPatience));
  EXPECT_TRUE(join_all(std::vector<Fiber<void>>{}, 0ms));
}

TEST_F(Spawn, EveryFiberHasAnIdOfItsOwnAndANameByIt) {
  auto a = spawn([] { return detail::current_context_id(); });
  auto b = spawn([] {});
  EXPECT_NE(a.id(), b.id());
  EXPECT_EQ(a.name(), "Fiber-" + std::to_string(a.id()));
  a.set_name("first");
  EXPECT_EQ(a.name(), "first");
  const auto id = a.id();
  EXPECT_EQ(a.get(), id);
  b.join();
}

TEST_F(Spawn, WhatItHoldsIsReleasedWhenItEndsNotWhenTheHandleGoes) {
  auto held = std::make_shared<int>(1);
  auto by_capture = spawn([held] {});
  auto by_argument = spawn([](std::shared_ptr<int>) {}, held);
  by_capture.join();
  by_argument.join();
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(Spawn, ResultNobodyTakesIsReleasedWithTheHandle) {
  auto held = std::make_shared<int>(1);
  {
    auto fiber = spawn([&] { return held; });
    fiber.join();
    EXPECT_EQ(held.use_count(), 2);
  }
  // The engine lets go of a fiber just after it has told those who wait.
  EXPECT_TRUE(eventually([&] { return held.use_count() == 1; }));
}

TEST_F(Spawn, DroppingTheHandleLetsItRunOn) {
  Event ran;
  { auto dropped = spawn([&] { ran.set(); }); }
  EXPECT_TRUE(ran.wait_for(kPatience));
}

// A runtime of its own, whose destructor waits until everything has been said.
std::string what_is_reported(const std::function<void(Runtime&)>& body) {
  testing::internal::CaptureStderr();
  {
    Runtime runtime{{.workers = 2, .name = "test"}};
    body(runtime);
  }
  return testing::internal::GetCapturedStderr();
}

TEST_F(Spawn, ExceptionNobodyWaitsForIsReportedWithTheFibersName) {
  const std::string report = what_is_reported([](Runtime& runtime) {
    Event thrown;
    struct Signal {
      Event& event;
      ~Signal() { event.set(); }
    };
    {
      auto dropped = runtime.spawn({.name = "night shift"}, [&] {
        const Signal signal{thrown};
        throw std::runtime_error{"the oven is on fire"};
      });
    }
    (void)thrown.wait_for(kPatience);
  });
  EXPECT_NE(report.find("night shift"), std::string::npos) << report;
  EXPECT_NE(report.find("the oven is on fire"), std::string::npos) << report;
}

TEST_F(Spawn, ExceptionOfAHandleDroppedWithoutWaitingIsReported) {
  const std::string report = what_is_reported([](Runtime& runtime) {
    auto fiber = runtime.spawn({.name = "dropped"}, [] { throw 42; });
    (void)eventually([&] { return fiber.done(); });
  });
  EXPECT_NE(report.find("dropped"), std::string::npos) << report;
}

TEST_F(Spawn, ExceptionSomebodyWaitedForIsNotReported) {
  const std::string report = what_is_reported([](Runtime& runtime) {
    auto joined = runtime.spawn([] { throw std::runtime_error{"a"}; });
    joined.join();
    auto taken = runtime.spawn([] { throw std::runtime_error{"b"}; });
    EXPECT_THROW(taken.get(), std::runtime_error);
    auto timed = runtime.spawn([] { throw std::runtime_error{"c"}; });
    EXPECT_TRUE(timed.join_for(kPatience));
    auto killed = runtime.spawn([] { sleep_for(1h); });
    killed.kill();
  });
  EXPECT_EQ(report, "");
}

TEST_F(Spawn, AFiberSpawnsIntoItsOwnRuntime) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    const int here = ::gettid();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(spawn([] { return ::gettid(); }).get(), here);
  });
}

TEST_F(Spawn, ManyGenerationsOfFibersWork) {
  Runtime runtime{{.workers = 2, .name = "test"}};
  std::function<int(int)> tree = [&](int depth) {
    if (depth == 0) return 1;
    auto left = spawn(tree, depth - 1);
    auto right = spawn(tree, depth - 1);
    return left.get() + right.get();
  };
  EXPECT_EQ(runtime.run(tree, 10), 1024);
}

}  // namespace
}  // namespace weft::test
