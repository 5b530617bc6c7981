#include <weft/thread/thread.hpp>

#include <memory>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/sync/event.hpp>
#include <weft/thread/current_thread.hpp>

#include "support/eventually.hpp"
#include "support/leaks.hpp"

namespace weft::test {
namespace {

class ThreadSubclass : public LeakFree {};

class Adder : public Thread {
 public:
  Adder(int a, int b) : a_{a}, b_{b} {}
  int sum = 0;

 private:
  void run() override {
    EXPECT_TRUE(current_thread() == *this);
    sum = a_ + b_;
  }

  int a_;
  int b_;
};

TEST_F(ThreadSubclass, RunReadsTheFieldsOfItsObject) {
  Adder adder{2, 3};
  adder.set_name("adder").start();
  adder.join();
  EXPECT_EQ(adder.sum, 5);
}

TEST_F(ThreadSubclass, RunMayCallTheCallable) {
  class Framed : public Thread {
   public:
    using Thread::Thread;
    std::string log;

   private:
    void run() override {
      log += "[";
      Thread::run();
      log += "]";
    }
  };
  std::string inside;
  Framed framed{[&] { inside = "callable"; }};
  framed.start();
  framed.join();
  EXPECT_EQ(framed.log, "[]");
  EXPECT_EQ(inside, "callable");
}

/// Tells when it is destroyed.
class Waiter : public Thread {
 public:
  Waiter(Event& go, std::atomic<int>& destroyed) : go_{go}, destroyed_{destroyed} {}
  ~Waiter() override { ++destroyed_; }

 private:
  void run() override {
    go_.wait();
    EXPECT_EQ(destroyed_, 0);
    own_ = 7;
  }

  Event& go_;
  std::atomic<int>& destroyed_;
  int own_ = 0;
};

TEST_F(ThreadSubclass, ARunningThreadKeepsASharedObjectAlive) {
  Event go;
  std::atomic<int> destroyed{0};
  Thread handle;
  {
    auto waiter = make_thread<Waiter>(go, destroyed);
    waiter->start();
    handle = *waiter;  // of the thread, not of the object
  }
  EXPECT_EQ(destroyed, 0);
  go.set();
  handle.join();
  EXPECT_EQ(destroyed, 1);
}

TEST_F(ThreadSubclass, TheOwnerMayKeepItLonger) {
  Event go;
  std::atomic<int> destroyed{0};
  auto waiter = make_thread<Waiter>(go, destroyed);
  waiter->start();
  go.set();
  waiter->join();
  EXPECT_EQ(destroyed, 0);
  waiter.reset();
  EXPECT_EQ(destroyed, 1);
  // One that was never started.
  make_thread<Waiter>(go, destroyed).reset();
  EXPECT_EQ(destroyed, 2);
}

TEST_F(ThreadSubclass, OneThatIsKilledReleasesItsObject) {
  Event never;
  std::atomic<int> destroyed{0};
  auto waiter = make_thread<Waiter>(never, destroyed);
  waiter->start();
  Thread handle = *waiter;
  waiter.reset();
  handle.kill();
  handle.join();
  EXPECT_EQ(destroyed, 1);
}

TEST_F(ThreadSubclass, ACopyOfItsBaseIsAHandleThatCannotStartIt) {
  Adder adder{1, 1};
  Thread sliced = adder;
  EXPECT_THROW(sliced.start(), InvalidStateError);
  EXPECT_FALSE(sliced.is_alive());
  adder.start();
  sliced.join();
  EXPECT_EQ(adder.sum, 2);
}

TEST_F(ThreadSubclass, OneThatOverridesNothingHasNothingToRun) {
  struct Lazy : Thread {};
  auto lazy = make_thread<Lazy>();
  lazy->set_name("lazy");
  testing::internal::CaptureStderr();
  lazy->start();
  lazy->join();
  EXPECT_NE(testing::internal::GetCapturedStderr().find("\"lazy\" has nothing to run"), std::string::npos);
}

}  // namespace
}  // namespace weft::test
