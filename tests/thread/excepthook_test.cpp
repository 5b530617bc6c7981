#include <weft/thread/excepthook.hpp>

#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/thread/current_thread.hpp>

#include "support/eventually.hpp"
#include "support/leaks.hpp"
#include "support/program.hpp"

// After ExceptHookTests of CPython's Lib/test/test_threading.py.
namespace weft::test {
namespace {

class ExceptHookTest : public LeakFree {
 protected:
  void TearDown() override { set_excepthook({}); }
};

struct Mishap : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string stderr_of(UniqueFunction<void()> body, const std::string& name) {
  testing::internal::CaptureStderr();
  Thread thread{std::move(body)};
  thread.set_name(name).start();
  thread.join();
  return testing::internal::GetCapturedStderr();
}

TEST_F(ExceptHookTest, ByDefaultNameTypeAndTextAreReported) {
  EXPECT_EQ(stderr_of([] { throw std::invalid_argument{"no such street"}; }, "courier"),
            "weft: thread \"courier\" ended with std::invalid_argument: no such street\n");
  EXPECT_EQ(stderr_of([] { throw InvalidStateError{"too late"}; }, "x"),
            "weft: thread \"x\" ended with weft::InvalidStateError: too late\n");
  EXPECT_EQ(stderr_of([] { throw 7; }, "x"), "weft: thread \"x\" ended with an exception of type int\n");
}

TEST_F(ExceptHookTest, AKillIsNoFailure) {
  EXPECT_EQ(stderr_of([] { throw Cancelled{}; }, "x"), "");
  EXPECT_EQ(stderr_of([] { current_thread().kill(); sleep_for(1h); }, "x"), "");
}

TEST_F(ExceptHookTest, TheHookIsTold) {
  std::string told;
  set_excepthook([&](const ExceptHookArgs& args) {
    EXPECT_TRUE(args.thread == current_thread());
    EXPECT_TRUE(args.thread.is_alive());
    try {
      std::rethrow_exception(args.exception);
    } catch (const Mishap& mishap) {
      told = args.thread.name() + ": " + mishap.what();
    }
  });
  EXPECT_EQ(stderr_of([] { throw Mishap{"spilt"}; }, "waiter"), "");
  EXPECT_EQ(told, "waiter: spilt");
  set_excepthook(nullptr);
  EXPECT_NE(stderr_of([] { throw Mishap{"again"}; }, "waiter").find("Mishap: again"), std::string::npos);
  EXPECT_EQ(told, "waiter: spilt");
}

TEST_F(ExceptHookTest, TheHookMayCallTheDefaultOne) {
  set_excepthook([](const ExceptHookArgs& args) { default_excepthook(args); });
  EXPECT_EQ(stderr_of([] { throw std::runtime_error{"a"}; }, "b"),
            "weft: thread \"b\" ended with std::runtime_error: a\n");
}

TEST_F(ExceptHookTest, AHookThatThrowsIsReportedToo) {
  set_excepthook([](const ExceptHookArgs&) { throw std::logic_error{"the hook is broken"}; });
  EXPECT_EQ(stderr_of([] { throw std::runtime_error{"cause"}; }, "x"),
            "weft: the except hook threw std::logic_error: the hook is broken\n"
            "weft: thread \"x\" ended with std::runtime_error: cause\n");
}

TEST_F(ExceptHookTest, TheHookMayBlockThoughTheThreadWasKilled) {
  Event told;
  set_excepthook([&](const ExceptHookArgs&) {
    sleep_for(1ms);
    told.set();
  });
  EXPECT_EQ(stderr_of(
                [] {
                  current_thread().kill();
                  try {
                    sleep_for(1h);
                  } catch (const Cancelled&) {
                    throw std::runtime_error{"instead"};
                  }
                },
                "x"),
            "");
  EXPECT_TRUE(told.is_set());
}

TEST_F(ExceptHookTest, ManyFailWhileItIsReplaced) {
  std::atomic<int> told{0};
  const auto hook = [&](const ExceptHookArgs&) { ++told; };
  set_excepthook(hook);
  std::vector<Thread> threads;
  for (int i = 0; i < 50; ++i) threads.push_back(Thread{[] { throw std::runtime_error{"x"}; }}.start());
  for (int i = 0; i < 50; ++i) set_excepthook(hook);
  for (Thread& thread : threads) thread.join();
  EXPECT_EQ(told, 50);
}

TEST_F(ExceptHookTest, AFailureEndsNothingButItsThread) {
  const ProgramResult result = run_program("threads_at_end", {"uncaught"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.output, "weft: thread \"unlucky\" ended with std::runtime_error: a piano fell\nmain goes on\n");
}

}  // namespace
}  // namespace weft::test
