// The examples of futures print what their texts say.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/program.hpp"

namespace weft::test {
namespace {

TEST(FuturesExamples, SameCodeEverywhere) {
  EXPECT_EQ(output_of_example("same_code_everywhere"),
            "threads: 9592 primes\n"
            "fibers:  9592 primes\n"
            "here:    9592 primes\n"
            "one worker: 9592 primes\n");
}

TEST(FuturesExamples, PortedFromPython) {
  EXPECT_EQ(output_of_example("ported_from_python"),
            "station 1 says 20.1\n"
            "station 2 says 20.2\n"
            "station 3 failed: station 3 does not answer\n"
            "station 4 says 20.4\n"
            "rain 0\n"
            "rain 1\n"
            "wind 0\n"
            "wind 1\n");
}

}  // namespace
}  // namespace weft::test
