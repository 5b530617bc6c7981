// The examples about threads and primitives print what their texts say.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "support/program.hpp"

namespace weft::test {
namespace {

std::string output_of(const std::string& example) {
  const ProgramResult result = run_program("../../examples/" + example);
  EXPECT_EQ(result.exit_code, 0) << example << '\n' << result.output;
  return result.output;
}

/// Whether it prints this. It waits for real times, within which a busy machine may do nothing else: so it may try again.
void expect_output(const std::string& example, const std::string& expected) {
  std::string output = output_of(example);
  for (int again = 0; again < 4 && output != expected; ++again) output = output_of(example);
  EXPECT_EQ(output, expected);
}

TEST(ThreadExamples, ThreadBasics) {
  expect_output("thread_basics",
                "alive before start: no\n"
                "alive after start: yes, threads: 2\n"
                "after 20 ms the soup is not ready\n"
                "Thread-1 has cooked 4 portions of soup\n"
                "served: 4, alive: no\n"
                "here are: MainThread waiter Thread-2\n"
                "this is the main thread: yes\n"
                "numbers differ: yes\n"
                "the second one has come\n"
                "the first one is still there\n"
                "main returns\n"
                "one without a handle ends\n");
}

TEST(ThreadExamples, ThreadSubclass) {
  expect_output("thread_subclass",
                "film: all 3 pieces of films/metropolis\n"
                "main has seen 3 pieces\n"
                "main returns\n"
                "book: all 2 pieces of books/emma\n");
}

TEST(ThreadExamples, ThreadStarted) {
  expect_output("thread_started",
                "main: the server has been started, and is not ready\n"
                "main: still not, after 10 ms\n"
                "main: the server is ready, with 1000 entries\n"
                "server: done\n");
}

TEST(ThreadExamples, DaemonThreads) {
  expect_output("daemon_threads",
                "clock: a thread of mine would be a daemon: yes\n"
                "main: set_daemon: thread \"clock\" was started already\n"
                "main: returns, while clock and saver run\n"
                "saver: all is saved\n");
}

// What is lost without a lock differs from run to run, and may be nothing. On a busy machine a hundred threads may take
// more than 100 ms to begin.
TEST(ThreadExamples, LostUpdate) {
  const std::regex expected{"100 threads take one each from 100\n"
                            "  with a pause of 100 ms:   (\\d+) left\n"
                            "  with a pause of 1 us:     \\d+ left\n"
                            "  with that, and a lock:    0 left\n"
                            "two threads add and subtract one, 10,000,000 times each\n"
                            "  without a lock:           -?\\d+\n"
                            "  with a lock:              0\n"};
  std::smatch match;
  for (int attempt = 0; attempt < 5; ++attempt) {
    const std::string output = output_of("lost_update");
    ASSERT_TRUE(std::regex_match(output, match, expected)) << output;
    if (match[1] == "99") return;
  }
  FAIL() << "with a pause, 99 are never left";
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
  expect_output("semaphore",
                "after half a job's time: 5 inside, 0 finished\n"
                "at the end: 10 finished, at most 5 at once\n"
                "one release too many is an error\n");
}

/// Whether the lines stand in an order that keeps the rules.
bool keeps_the_rules(const std::vector<std::string>& lines) {
  const auto before = [&](const std::string& a, const std::string& b) {
    return std::find(lines.begin(), lines.end(), a) < std::find(lines.begin(), lines.end(), b);
  };
  bool waited = true;
  for (const std::string car : {"taxi", "bus"}) {
    waited = waited && before(car + ": waits", "light: green") && before("light: green", car + ": drives off");
  }
  return waited && lines.size() == 15 && before("pedestrian: takes the bridge", "light: green") &&
         before("light: green", "van: passes") && before("van: passes", "light: yellow") &&
         before("light: yellow", "lorry: waits") && before("lorry: waits", "lorry: drives off") &&
         std::count(lines.begin(), lines.end(), "light: red") == 3;
}

TEST(ThreadExamples, TrafficLight) {
  std::string output;
  for (int attempt = 0; attempt < 5; ++attempt) {
    output = output_of("traffic_light");
    std::istringstream stream{output};
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    if (keeps_the_rules(lines)) return;
  }
  FAIL() << output;
}

}  // namespace
}  // namespace weft::test
