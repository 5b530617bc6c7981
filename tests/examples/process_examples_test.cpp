// The examples about processes print what their texts say.
#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "support/program.hpp"

namespace weft::test {
namespace {

TEST(ProcessExamples, ProcessBasics) {
  const std::string output = output_of_example("process_basics");
  EXPECT_TRUE(std::regex_match(output, std::regex{"Process-1, alive before start: no\n"
                                                  "alive after start: (yes, children: 1|no, children: 0)\n"
                                                  "(after 10 ms the soup is not ready\n)?"
                                                  "Process-1, a child of MainProcess, has cooked 4 portions of soup\n"
                                                  "exit code: 0, children: 0\n"
                                                  "weft: process \"baker\" ended with std::runtime_error: the oven is cold\n"
                                                  "(  at [^\n]*\n)*"
                                                  "exit codes: 3, 1, -15\n"
                                                  "Ann is served\n"
                                                  "main returns\n"
                                                  "Process-6, a child of MainProcess, has cooked 2 portions of bread\n"}))
      << output;
}

TEST(ProcessExamples, ProcessIsolation) {
  EXPECT_EQ(output_of_example("process_isolation"),
            "inside: 70\n"
            "after a thread has spent 30: 70\n"
            "inside: 40\n"
            "after a forked child has spent 30: 70\n"
            "inside: 70\n"
            "after a spawned child has spent 30: 70\n");
}

TEST(ProcessExamples, StartMethods) {
  const std::string anew =
      "  the child has white, and was sent red\n"
      "  the file not flushed: parent \n"
      "  the file flushed before: parent \n"
      "  locked in the child: no\n"
      "  a new thread gets it at once: yes\n";
  EXPECT_EQ(output_of_example("start_methods"),
            "fork\n"
            "  the child has red, and was sent red\n"
            "  the file not flushed: parent child parent \n"
            "  the file flushed before: parent child \n"
            "  locked in the child: yes\n"
            "  a new thread gets it at once: no\n"
            "  the main thread has released it\n"
            "spawn\n" + anew +
            "forkserver\n" + anew +
            "a closure, by fork: 1\n");
}

}  // namespace
}  // namespace weft::test
