// What the patch library promises to fibers alone, and what it says of itself.
#include <gtest/gtest.h>

#include <string>

#include "preloaded.hpp"
#include "support/program.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

ProgramResult run_part(const std::string& part) {
  const Preloaded patch;
  ProgramResult result = run_program("patched_fibers", {part}, std::chrono::seconds{120});
  result.output = without_stall_reports(result.output);
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.exit_code, 0) << result.output;
  return result;
}

class PatchedFibers : public testing::TestWithParam<const char*> {};

TEST_P(PatchedFibers, KeepTheirPromise) {
  EXPECT_EQ(run_part(GetParam()).output, "done\n");
}

INSTANTIATE_TEST_SUITE_P(All, PatchedFibers,
                         testing::Values("many", "pinned", "crowd", "closing", "interrupting", "killing", "flags",
                                         "forking"),
                         [](const auto& part) { return std::string{part.param}; });

TEST(Patch, FiberThatWaitsWithMutexesIsReportedOncePerPlace) {
  const std::string output = run_part("mutexes").output;
  EXPECT_EQ(count_of(output, "done\n"), 1) << output;
  // One call, and two places where the last mutex was locked.
  EXPECT_EQ(count_of(output, "waits in recv(), called at patched_fibers"), 2) << output;
  EXPECT_EQ(count_of(output, "while it holds 1 pthread mutex, the last one locked at patched_fibers"), 1) << output;
  EXPECT_EQ(count_of(output, "while it holds 2 pthread mutexes"), 1) << output;
  EXPECT_EQ(count_of(output, "\n"), 3) << output;
}

TEST(Patch, SaysAtStartWhatItCouldNotPatch) {
  const Preloaded patch;
  const ProgramResult result = run_program("own_usleep");
  EXPECT_EQ(count_of(result.output, "as another definition comes before the patched one: usleep ("), 1)
      << result.output;
  EXPECT_EQ(count_of(result.output, "not patched: usleep\nactive, 42\n"), 1) << result.output;
  EXPECT_EQ(count_of(result.output, "\n"), 3) << result.output;
}

TEST(Patch, IsQuietIfAskedTo) {
  const Preloaded patch{"quiet"};
  EXPECT_EQ(run_program("own_usleep").output, "not patched: usleep\nactive, 42\n");
}

TEST(Patch, IsNotThereUnlessAskedFor) {
  EXPECT_EQ(run_program("own_usleep").output, "inactive, 42\n");
}

TEST(Patch, SaysThatItIsInactiveWhereThereIsNoEngine) {
  if (under_address_sanitizer()) GTEST_SKIP() << "a library with a sanitizer in it needs a program with one";
  const Preloaded patch;
  const ProgramResult result = run_program("../../../../../../../../../../../../bin/echo", {"hello"});
  EXPECT_EQ(count_of(result.output, "weft-patch: inactive"), 1) << result.output;
  EXPECT_EQ(count_of(result.output, "hello\n"), 1) << result.output;
}

}  // namespace
}  // namespace weft::test
