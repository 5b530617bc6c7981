// How a program with threads ends, and what becomes of them in a forked child.

#include <csignal>
#include <string>

#include <gtest/gtest.h>

#include "support/program.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

struct Expected {
  const char* mode;
  int exit_code;
  const char* output;
};

void expect(const Expected& expected) {
  const ProgramResult result = run_program("threads_at_end", {expected.mode});
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.signal, 0);
  EXPECT_EQ(result.exit_code, expected.exit_code) << expected.mode << '\n' << result.output;
  EXPECT_EQ(without_stall_reports(result.output), expected.output) << expected.mode;
}

// test_1_join_on_shutdown
TEST(EndOfMain, WaitsForThreadsThatAreNoDaemons) {
  expect({"return", 3, "main returns\nthread ends\n"});
  expect({"exit", 4, "main exits\nthread ends\n"});
  expect({"subclass", 0, "main returns\nthread ends\n"});
  expect({"chain", 0, "main returns\nthread ends\nits successor ends\n"});
}

TEST(EndOfMain, WaitsForNoDaemonThoughItHoldsLocks) {
  expect({"daemon", 5, "main returns\n"});
  expect({"daemon-subclass", 5, "main returns\n"});
}

TEST(EndOfMain, ComesBeforeStaticObjectsAreDestroyed) {
  expect({"statics", 0,
          "main returns\nthread uses all of them\n"
          "later one destroyed\nlocal one destroyed\nglobal one destroyed\n"});
}

TEST(EndOfMain, CanBeWaitedFor) {
  expect({"join-main", 0, "main returns\nthread has seen the end of main\n"});
}

TEST(EndOfMain, IsNotWaitedForByQuickExits) { expect({"_exit", 6, ""}); }

TEST(Exit, InAThreadWaitsForTheOthers) {
  expect({"exit-in-thread", 7, "another ends\n"});
  expect({"exit-in-guest", 7, "another ends\n"});
  expect({"exit-in-fiber", 7, "another ends\n"});
}

TEST(MainThread, IsFoundThoughMainNeverAskedForIt) {
  expect({"main-thread", 0, "MainThread, and its number is the process's\n"});
}

TEST(ThreadSubclassEnd, DestroyedWhileItRunsIsReported) {
  for (const char* mode : {"destroyed", "assigned"}) {
    const ProgramResult result = run_program("threads_at_end", {mode});
    EXPECT_EQ(result.signal, SIGABRT) << result.output;
    EXPECT_EQ(count_of(result.output, "weft: thread \"doomed\": its object is destroyed, or assigned to"), 1)
        << result.output;
  }
}

// test_2_join_in_forked_process, test_3_join_in_forked_from_thread, test_main_thread_after_fork,
// test_is_alive_after_fork
TEST(ThreadsAndFork, TheChildHasItsCallerAsMainThreadAndNoOther) {
  for (const char* mode : {"fork", "fork-in-thread", "fork-in-guest", "fork-in-fiber"}) {
    const ProgramResult result = run_program("threads_at_end", {mode});
    EXPECT_EQ(result.exit_code, 0) << mode << '\n' << result.output;
    EXPECT_EQ(without_stall_reports(result.output), "child returns\nits thread ends\nparent ends\n") << mode;
  }
}

TEST(ThreadsAndFork, MayHappenWhileThreadsComeAndGo) {
  // Under ThreadSanitizer each child takes a second to end.
  const ProgramResult result = run_program("threads_at_end", {"fork-storm", std::to_string(rounds(50))});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.output, "all children came to their end\n");
}

}  // namespace
}  // namespace weft::test
