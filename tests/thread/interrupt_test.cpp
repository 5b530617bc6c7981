#include <weft/thread/interrupt.hpp>

#include <csignal>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>

#include "port/sanitizer.hpp"
#include "support/program.hpp"

namespace weft::test {
namespace {

/// In programs whose main thread sleeps in a call that ThreadSanitizer does not know: it holds back signals until one that it knows.
class Interrupts : public testing::Test {
 protected:
  void SetUp() override {
    if (port::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer holds signals back while a thread sleeps";
  }
};

TEST_F(Interrupts, EndsAPoolCleanlyAndTheProgramByTheSignal) {
  const ProgramResult result = run_program("interrupted", {"pool"});
  EXPECT_EQ(result.signal, SIGINT);
  EXPECT_EQ(result.output, "ran 1\n") << "what ran was finished, what had not begun was called off";
}

TEST_F(Interrupts, EndsQueueJoin) {
  const ProgramResult result = run_program("interrupted", {"join"});
  EXPECT_EQ(result.signal, SIGINT) << result.output;
}

TEST_F(Interrupts, EndsAsCompletedBySigtermToo) {
  const ProgramResult result = run_program("interrupted", {"completed"});
  EXPECT_EQ(result.signal, SIGTERM) << result.output;
}

TEST_F(Interrupts, ReachesAFiber) {
  const ProgramResult result = run_program("interrupted", {"fiber"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(without_stall_reports(result.output), "signal 2\nwent on\n");
}

TEST_F(Interrupts, IsStickyInItsScopeAndGoneBehindIt) {
  const ProgramResult result = run_program("interrupted", {"caught"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.output, "again\nagain\nagain\nover\n");
}

TEST_F(Interrupts, ASecondOneHasItsUsualEffect) {
  const ProgramResult result = run_program("interrupted", {"twice"});
  EXPECT_EQ(result.signal, SIGINT);
  EXPECT_EQ(result.output, "first\n");
}

TEST_F(Interrupts, EndsTheProgramByTheSignalThoughNothingBlockedAnyMore) {
  EXPECT_EQ(run_program("interrupted", {"too late"}).signal, SIGINT);
}

TEST_F(Interrupts, LeavesItToABodyThatCaughtIt) { EXPECT_EQ(run_program("interrupted", {"handled"}).exit_code, 7); }

TEST(Interrupt, LeavesValuesAlone) { EXPECT_EQ(run_program("interrupted", {"value"}).exit_code, 7); }

TEST(Interrupt, OneScopeAtATime) {
  const InterruptScope one;
  EXPECT_EQ(one.signal(), 0);
  EXPECT_THROW(InterruptScope{}, InvalidStateError);
}

}  // namespace
}  // namespace weft::test
