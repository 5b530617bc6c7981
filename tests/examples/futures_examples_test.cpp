// The examples of futures print what their texts say.
#include <gtest/gtest.h>

#include "support/program.hpp"

namespace weft::test {
namespace {

TEST(FuturesExamples, SameCodeEverywhere) {
  EXPECT_EQ(output_of_example("same_code_everywhere"),
            "threads: 9592 primes\n"
            "fibers:  9592 primes\n"
            "processes: 9592 primes\n"
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

TEST(FuturesExamples, ThreadPool) {
  EXPECT_EQ(output_of_example("thread_pool"),
            "called off: yes\n"
            "called off: yes\n"
            "called off: yes\n"
            "threads: 4\n"
            "/0 /1 /2 /3 /4 /5 /6 [404 Not Found] /8 /9 /10 /11 \n"
            "at most 4 at once\n"
            "the first unwanted one: the work was cancelled before it began\n");
}

TEST(FuturesExamples, TwoStepDownload) {
  EXPECT_EQ(output_of_example("two_step_download"),
            "in the caller: the page /late\n"
            "a: the page /a\n"
            "b: the page /b\n"
            "c: the page /c\n"
            "d: the page /d\n"
            "saved by the threads that downloaded: 4\n");
}

}  // namespace
}  // namespace weft::test
