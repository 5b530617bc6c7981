// What can only be seen from outside: forks, and ends.

#include <gtest/gtest.h>

#include "support/eventually.hpp"
#include "support/program.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

class HttpFork : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(From, HttpFork, testing::Values("thread", "fiber"),
                         [](const auto& parameter) { return std::string{parameter.param}; });

TEST_P(HttpFork, ChildrenMakeRequestsOfTheirOwn) {
  const ProgramResult result = run_program("http_forking", {GetParam(), std::to_string(rounds(20))}, 240s);
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.exit_code, 0) << "signal " << result.signal << "\n" << result.output;
  EXPECT_EQ(without_stall_reports(result.output), "all children came to their end\n");
}

TEST_P(HttpFork, MayComeWhileTheClientStarts) {
  for (int i = 0; i < rounds(10); ++i) {
    const ProgramResult result = run_program("http_forking", {GetParam(), "1"}, 90s);
    ASSERT_EQ(result.exit_code, 0) << "signal " << result.signal << "\n" << result.output;
  }
}

class HttpEnd : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(When, HttpEnd, testing::Values("returns", "exits-in-a-fiber", "exits-in-a-callback"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(HttpEnd, OfTheProgramEndsRequestsThatRun) {
  for (int i = 0; i < rounds(10); ++i) {
    const ProgramResult result = run_program("http_ending", {GetParam()});
    ASSERT_EQ(result.exit_code, 3) << "signal " << result.signal << "\n" << result.output;
    ASSERT_EQ(without_stall_reports(result.output), "the program is ending\n");
  }
}

}  // namespace
}  // namespace weft::test
