#include "support/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <system_error>

#include <gtest/gtest.h>

#include <weft/base/deadline.hpp>

#include "support/paths.hpp"

namespace weft::test {

namespace {

pid_t start(const std::string& path, const std::vector<std::string>& arguments, int output) {
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, path.c_str(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error{error, std::generic_category(), "start " + path};
  return pid;
}

/// Until end of file. False: the deadline passed.
bool read_all(int fd, Deadline deadline, std::string& text) {
  char buffer[4096];
  for (;;) {
    pollfd polled{fd, POLLIN, 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline.remaining()).count();
    const int ready = ::poll(&polled, 1, static_cast<int>(left));
    if (ready == 0) return false;
    if (ready < 0) continue;
    const auto bytes = ::read(fd, buffer, sizeof buffer);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) return true;
    text.append(buffer, static_cast<std::size_t>(bytes));
  }
}

}  // namespace

ProgramResult run_program(const std::string& name, const std::vector<std::string>& arguments,
                          std::chrono::seconds patience) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error{errno, std::generic_category(), "pipe"};
  const pid_t pid = start(build_dir() + "/tests/programs/" + name, arguments, ends[1]);
  ::close(ends[1]);
  ProgramResult result;
  result.timed_out = !read_all(ends[0], Deadline::after(patience), result.output);
  ::close(ends[0]);
  if (result.timed_out) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

std::string output_of_example(const std::string& name, const std::vector<std::string>& arguments) {
  const ProgramResult result = run_program("../../examples/" + name, arguments);
  EXPECT_EQ(result.exit_code, 0) << name << '\n' << result.output;
  return result.output;
}

std::string without_stall_reports(const std::string& output) {
  std::istringstream lines{output};
  std::string rest;
  bool in_report = false;
  for (std::string line; std::getline(lines, line);) {
    const bool begins = line.find("has kept its worker from all other fibers") != std::string::npos;
    in_report = begins || (in_report && (line.starts_with("  at ") || line.starts_with("  called from ")));
    if (!in_report) rest += line + '\n';
  }
  return rest;
}

int count_of(const std::string& text, const std::string& part) {
  int count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

}  // namespace weft::test
