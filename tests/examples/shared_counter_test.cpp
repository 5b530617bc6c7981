#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "support/program.hpp"

namespace weft::test {
namespace {

// What is lost without a lock differs from run to run. With a pause all but one are lost, if all processes have read before the first
// one writes; without one, maybe nothing.
TEST(ProcessExamples, SharedCounter) {
  const std::string output = output_of_example("shared_counter");
  std::smatch match;
  ASSERT_TRUE(std::regex_match(output, match,
                               std::regex{"10 processes add one each, with a pause in the middle: (\\d+)\n"
                                          "2 processes add one, 500,000 times each, without a lock: (\\d+)\n"
                                          "2 processes add one, 20,000 times each, the lock held: 40000\n"
                                          "2 processes add one, 20,000 times each, by update\\(\\): 40000\n"
                                          "from a child: 3.1415927, \\[ 0 1 4 9 16 25 36 49 64 81 \\]\n"}))
      << output;
  EXPECT_GE(std::stoi(match[1]), 1);
  EXPECT_LE(std::stoi(match[1]), 9);
  EXPECT_LE(std::stoi(match[2]), 1'000'000);
}

}  // namespace
}  // namespace weft::test
