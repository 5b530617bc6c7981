// The examples about locks among processes print what their texts say.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "support/program.hpp"

namespace weft::test {
namespace {

// Of all but the first line.
std::vector<std::string> sorted_lines(const std::string& text) {
  std::istringstream lines{text};
  std::vector<std::string> found;
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) found.push_back(line);
  std::sort(found.begin(), found.end());
  return found;
}

// How many are sold without a lock differs from run to run. But they come together and think long: some look before the first has written.
TEST(ProcessSyncExamples, TicketOffice) {
  const std::string output = output_of_example("ticket_office");
  EXPECT_TRUE(std::regex_match(output, std::regex{"without a lock: ([4-9]|10) of 3 tickets sold\n"
                                                  "with a lock: 3 of 3 tickets sold, 0 left\n"
                                                  "one died at the desk: the file says -1\n"
                                                  "the next one has a ticket, 2 left\n"}))
      << output;
}

TEST(ProcessSyncExamples, OrderedOutput) {
  const std::string output = output_of_example("ordered_output");
  const std::size_t half = output.find("with a lock:\n", 1);
  ASSERT_NE(half, std::string::npos) << output;
  std::vector<std::string> whole;
  for (int i = 0; i < 10; ++i) whole.push_back("process number " + std::to_string(i) + " was here");
  EXPECT_EQ(sorted_lines(output.substr(half)), whole) << output;
  // Without it they are mixed: each waits four times in the middle of its line, and all begin at once. All the words are there.
  const std::string mixed = output.substr(0, half);
  EXPECT_NE(sorted_lines(mixed), whole) << output;
  EXPECT_EQ(count_of(mixed, "process"), 10) << output;
  EXPECT_EQ(count_of(mixed, " here"), 10) << output;
}

}  // namespace
}  // namespace weft::test
