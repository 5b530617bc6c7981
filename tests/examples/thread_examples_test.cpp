// The examples about threads and primitives print what their texts say.
#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "support/program.hpp"

namespace weft::test {
namespace {

void expect_output(const std::string& example, const std::string& expected) { EXPECT_EQ(output_of_example(example), expected); }

/// For those that show what real times do: the expression allows all that a busy machine may make of them.
std::smatch expect_match(const std::string& example, const std::string& expected, std::string& output) {
  output = output_of_example(example);
  std::smatch match;
  EXPECT_TRUE(std::regex_match(output, match, std::regex{expected})) << output;
  return match;
}

TEST(ThreadExamples, ThreadBasics) {
  std::string output;
  (void)expect_match("thread_basics",
                     "alive before start: no\n"
                     "alive after start: (yes, threads: 2|no, threads: 1)\n"
                     "(after 20 ms the soup is not ready\n)?"
                     "Thread-1 has cooked 4 portions of soup\n"
                     "served: 4, alive: no\n"
                     "here are: MainThread waiter Thread-2\n"
                     "this is the main thread: yes\n"
                     "numbers differ: yes\n"
                     "the second one has come\n"
                     "the first one is still there\n"
                     "main returns\n"
                     "one without a handle ends\n",
                     output);
}

TEST(ThreadExamples, ThreadSubclass) {
  expect_output("thread_subclass",
                "film: all 3 pieces of films/metropolis\n"
                "main has seen 3 pieces\n"
                "main returns\n"
                "book: all 2 pieces of books/emma\n");
}

TEST(ThreadExamples, ThreadStarted) {
  std::string output;
  (void)expect_match("thread_started",
                     "main: the server has been started, and is (not )?ready\n"
                     "(main: still not, after 10 ms\n)?"
                     "(main: the server is ready, with 1000 entries\nserver: done\n|"
                     "server: done\nmain: the server is ready, with 1000 entries\n)",
                     output);
}

TEST(ThreadExamples, DaemonThreads) {
  expect_output("daemon_threads",
                "clock: a thread of mine would be a daemon: yes\n"
                "main: set_daemon: thread \"clock\" was started already\n"
                "main: returns, while clock and saver run\n"
                "saver: all is saved\n");
}

// What is lost without a lock differs from run to run, and may be nothing. With a pause all but one are lost, if all threads have
// read before the first one writes.
TEST(ThreadExamples, LostUpdate) {
  std::string output;
  const std::smatch match = expect_match("lost_update",
                                         "100 threads take one each from 100\n"
                                         "  with a pause of 100 ms:   (\\d+) left\n"
                                         "  with a pause of 1 us:     \\d+ left\n"
                                         "  with that, and a lock:    0 left\n"
                                         "two threads add and subtract one, 10,000,000 times each\n"
                                         "  without a lock:           -?\\d+\n"
                                         "  with a lock:              0\n",
                                         output);
  ASSERT_EQ(match.size(), 2U);
  EXPECT_GE(std::stoi(match[1]), 50);
  EXPECT_LE(std::stoi(match[1]), 99);
}

TEST(ThreadExamples, RLock) {
  expect_output("rlock",
                "withdraws 1, the lock taken 2 times\n"
                "withdraws 30, the lock taken 2 times\n"
                "left: 69\n"
                "given back once of twice: taken\n"
                "given back twice: free\n");
}

TEST(ThreadExamples, Semaphore) {
  std::string output;
  (void)expect_match("semaphore",
                     "after half a job's time: [0-5] inside, \\d+ finished\n"
                     "at the end: 10 finished, at most [1-5] at once\n"
                     "one release too many is an error\n",
                     output);
}

// Whoever comes early or late on a busy machine: nobody drives before it was green.
TEST(ThreadExamples, TrafficLight) {
  const std::string output = output_of_example("traffic_light");
  const std::size_t green = output.find("light: green");
  for (const std::string car : {"taxi", "bus", "van", "lorry"}) {
    const bool waited = output.find(car + ": waits") != std::string::npos;
    const std::size_t goes = output.find(car + (waited ? ": drives off" : ": passes"));
    ASSERT_NE(goes, std::string::npos) << car << " is still there:\n" << output;
    EXPECT_LT(green, goes) << output;
  }
  EXPECT_EQ(count_of(output, "light: red"), 3) << output;
  EXPECT_EQ(count_of(output, "light: green"), 2) << output;
}

TEST(ThreadExamples, Deadlock) {
  std::string output;
  (void)expect_match("deadlock",
                     "Two locks in opposite order:\n"
                     "the (thread|fiber) gives way:\n"
                     "2 contexts wait for each other\n"
                     "(  (thread \"audit\"|fiber \"transfer-1\")  waits [0-9.]+ s for Lock \"(savings|checking)\".*, held by "
                     "(thread \"audit\"|fiber \"transfer-1\")\n){2}"
                     "the (fiber|thread) has both locks\n"
                     "One lock twice:\n"
                     "a context waits for itself\n"
                     "  thread \"MainThread\"  waits [0-9.]+ s for Lock \"diary\".*, held by itself\n"
                     "done\n",
                     output);
  // A place in the source, or, without libdw, a function.
  EXPECT_TRUE(output.find("deadlock.cpp:") != std::string::npos || output.find("transfer") != std::string::npos) << output;
}

}  // namespace
}  // namespace weft::test
