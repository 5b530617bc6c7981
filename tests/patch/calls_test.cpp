// Each patched call does what the unpatched one does: one program writes down what came of it, and the accounts are
// compared.
#include <gtest/gtest.h>

#include <string>

#include "preloaded.hpp"
#include "support/program.hpp"

namespace weft::test {
namespace {

std::string account_of(const char* where) {
  const ProgramResult result = run_program("patched_calls", {where}, std::chrono::seconds{120});
  EXPECT_FALSE(result.timed_out) << result.output;
  EXPECT_EQ(result.exit_code, 0) << result.output;
  // Peers are waited for by blocking the worker, which on a busy machine may take long enough to be noticed.
  return without_stall_reports(result.output);
}

std::string account_without_patch() {
  static const std::string account = account_of("thread");
  return account;
}

TEST(PatchedCalls, AccountIsLongAndWithoutPatchSaysWhatTheKernelSays) {
  const std::string account = account_without_patch();
  EXPECT_GT(count_of(account, "\n"), 200);
  EXPECT_EQ(count_of(account, "recv for so long: -1 EAGAIN\n"), 1) << account;
  EXPECT_EQ(count_of(account, "connect to nobody: -1 ECONNREFUSED\n"), 1) << account;
}

TEST(PatchedCalls, OnAThreadNothingChanges) {
  const Preloaded patch;
  EXPECT_EQ(account_of("thread"), account_without_patch());
}

TEST(PatchedCalls, OnAFiberTheyReturnTheSameAndLetOthersRun) {
  const std::string expected = account_without_patch();
  const Preloaded patch;
  EXPECT_EQ(account_of("fiber"), expected);
}

}  // namespace
}  // namespace weft::test
