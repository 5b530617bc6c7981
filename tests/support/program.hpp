#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace weft::test {

/// How a program that a test started ended, and what it wrote.
struct ProgramResult {
  int exit_code = -1;   ///< -1: ended by a signal.
  int signal = 0;       ///< 0: exited.
  bool timed_out = false;
  std::string output;   ///< Standard output and error, in one.
};

/// Runs build/<preset>/tests/programs/NAME with arguments; kills it when it takes too long.
[[nodiscard]] ProgramResult run_program(const std::string& name, const std::vector<std::string>& arguments = {},
                                        std::chrono::seconds patience = std::chrono::seconds{60});

/// What an example writes, which has to end by itself, with success.
[[nodiscard]] std::string output_of_example(const std::string& name, const std::vector<std::string>& arguments = {});

/// The output but for reports of fibers that kept their worker for long: on a busy machine fork() may, and exit() does.
[[nodiscard]] std::string without_stall_reports(const std::string& output);

[[nodiscard]] int count_of(const std::string& text, const std::string& part);

}  // namespace weft::test
