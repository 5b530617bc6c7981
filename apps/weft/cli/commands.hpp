#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <string>

#include "base/exit_code.hpp"

// The command line: each command adds its options to the parser, and leaves behind what to run.
namespace weft::app {

/// What the command line asks for; run on a fiber. Empty: nothing yet.
struct Command {
  std::function<ExitCode()> run;
  unsigned workers = 0;          // of the runtime; 0: one a core
  bool handles_signals = false;  // SIGINT and SIGTERM are the command's business
};

/// `arguments` is the whole command line, to be quoted in advice to the user.
void add_serve_command(CLI::App& app, Command& chosen);
void add_send_command(CLI::App& app, Command& chosen, const std::string& command_line);
void add_get_command(CLI::App& app, Command& chosen);
void add_ls_command(CLI::App& app, Command& chosen);

/// Parses the command line, runs the command, returns the exit code.
[[nodiscard]] int run_program(int argc, const char* const* argv);

/// `text` as the shell needs it to be written.
[[nodiscard]] std::string shell_quoted(const std::string& text);

}  // namespace weft::app
