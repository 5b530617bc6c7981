#include <weft/thread/interrupt.hpp>

#include <csignal>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>

#include "support/program.hpp"

namespace weft::test {
namespace {

TEST(Interrupt, EndsAPoolCleanlyAndTheProgramByTheSignal) {
  const ProgramResult result = run_program("interrupted", {"pool"});
  EXPECT_EQ(result.signal, SIGINT);
  EXPECT_EQ(result.output, "ran 1\n") << "what ran was finished, what had not begun was called off";
}

TEST(Interrupt, EndsQueueJoin) {
  const ProgramResult result = run_program("interrupted", {"join"});
  EXPECT_EQ(result.signal, SIGINT) << result.output;
}

TEST(Interrupt, EndsAsCompletedBySigtermToo) {
  const ProgramResult result = run_program("interrupted", {"completed"});
  EXPECT_EQ(result.signal, SIGTERM) << result.output;
}

TEST(Interrupt, ReachesAFiber) {
  const ProgramResult result = run_program("interrupted", {"fiber"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(without_stall_reports(result.output), "signal 2\nwent on\n");
}

TEST(Interrupt, IsStickyInItsScopeAndGoneBehindIt) {
  const ProgramResult result = run_program("interrupted", {"caught"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.output, "again\nagain\nagain\nover\n");
}

TEST(Interrupt, ASecondOneHasItsUsualEffect) {
  const ProgramResult result = run_program("interrupted", {"twice"});
  EXPECT_EQ(result.signal, SIGINT);
  EXPECT_EQ(result.output, "first\n");
}

TEST(Interrupt, LeavesValuesAlone) { EXPECT_EQ(run_program("interrupted", {"value"}).exit_code, 7); }

TEST(Interrupt, OneScopeAtATime) {
  const InterruptScope one;
  EXPECT_EQ(one.signal(), 0);
  EXPECT_THROW(InterruptScope{}, InvalidStateError);
}

}  // namespace
}  // namespace weft::test
