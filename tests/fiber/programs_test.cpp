// What can only be seen from outside: how a process ends, and what it says on standard error.

#include <gtest/gtest.h>

#include <csignal>

#include "support/eventually.hpp"
#include "support/program.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

TEST(StackOverflow, KillsTheProcessNamingFiberAndStackSize) {
  for (const char* workers : {"1", "2"}) {
    const ProgramResult result = run_program("overflowing_fiber", {workers});
    EXPECT_EQ(result.signal, SIGSEGV) << result.output;
    EXPECT_NE(result.output.find("fiber \"greedy\" overflowed its stack of 65536 bytes"), std::string::npos)
        << result.output;
    EXPECT_EQ(count_of(result.output, "overflowed"), 1) << result.output;
  }
}

TEST(StackOverflow, OtherMemoryFaultsAreNotTakenForOne) {
  const ProgramResult result = run_program("overflowing_fiber", {"segfault"});
  // A sanitizer reports the fault itself, and exits.
  EXPECT_TRUE(result.signal == SIGSEGV || result.exit_code > 0) << result.output;
  EXPECT_EQ(result.output.find("overflowed"), std::string::npos) << result.output;
}

TEST(Stall, IsReportedOnceForEachPlaceWithNameAndPlace) {
  // Their interceptors are part of the program, and would be taken for the place.
  if (under_thread_sanitizer() || under_address_sanitizer()) GTEST_SKIP() << "places are not told apart under a sanitizer";
  for (const char* when : {"at once", "quiet"}) {
    const ProgramResult result = run_program("stalled_worker", {when});
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_EQ(count_of(result.output, "fiber \"number cruncher\" has kept its worker"), 1) << result.output;
    EXPECT_EQ(count_of(result.output, "fiber \"sleepyhead\" has kept its worker"), 1) << result.output;
    EXPECT_EQ(count_of(result.output, "well-behaved"), 0) << result.output;
    EXPECT_GE(count_of(result.output, "called from "), 2) << result.output;
  }
}

class Fork : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(From, Fork, testing::Values("thread", "fiber"),
                         [](const auto& parameter) { return std::string{parameter.param}; });

TEST_P(Fork, ChildKeepsTheCallersLocksAndStartsAnEngineOfItsOwn) {
  const ProgramResult result = run_program("forking", {GetParam(), std::to_string(rounds(40))}, 240s);
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.exit_code, 0) << "signal " << result.signal << "\n" << result.output;
  EXPECT_EQ(without_stall_reports(result.output), "all children came to their end\n");
}

// Whatever the engine sets up on first use, the child must be able to set up too, though the parent was in the midst of it.
TEST_P(Fork, MayComeWhileTheEngineStarts) {
  for (int i = 0; i < rounds(10); ++i) {
    const ProgramResult result = run_program("forking", {GetParam(), "1"}, 90s);
    ASSERT_EQ(result.exit_code, 0) << "signal " << result.signal << "\n" << result.output;
    ASSERT_EQ(without_stall_reports(result.output), "all children came to their end\n");
  }
}

TEST(RacingFibers, AreReportedByThreadSanitizerOnTwoWorkers) {
  if (!under_thread_sanitizer()) GTEST_SKIP() << "for the preset tsan";
  const ProgramResult result = run_program("racing_fibers", {"2"});
  EXPECT_NE(result.output.find("WARNING: ThreadSanitizer: data race"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("shared_counter"), std::string::npos) << result.output;
  EXPECT_NE(result.exit_code, 0);
}

TEST(RacingFibers, AreNoRaceOnOneWorkerWhereTheyNeverRunAtOnce) {
  const ProgramResult result = run_program("racing_fibers", {"1"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.output, "20000\n");
}

TEST(RacingFibers, AreNotReportedWhenALockOrdersThem) {
  for (const char* workers : {"1", "2"}) {
    const ProgramResult result = run_program("racing_fibers", {workers, "ordered"});
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_EQ(result.output, "20000\n");
  }
}

}  // namespace
}  // namespace weft::test
