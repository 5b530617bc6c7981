#include <fmt/format.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>

#include "base/stop_signals.hpp"
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "weft/fiber/runtime.hpp"

namespace weft::app {

namespace {

constexpr const char* kFooter = R"(Examples:
  weft serve                              serve the folder files/ on 127.0.0.1:8001
  weft send report.pdf localhost:8001     send a file to it
  weft get localhost:8001/report.pdf      get it back
  weft ls localhost:8001                  see what is there

weft COMMAND --help tells more.)";

int run_command(const Command& command) {
  // Before the runtime makes threads, which inherit it.
  if (command.handles_signals) block_stop_signals();
  Runtime::Config config;
  config.workers = command.workers;
  config.name = "weft";
  Runtime runtime(config);
  return static_cast<int>(runtime.run([&] { return command.run(); }));
}

bool has_command(const CLI::App& app, const std::string& name) {
  const auto commands =
      app.get_subcommands([&](const CLI::App* command) { return command->get_name() == name; });
  return !commands.empty();
}

}  // namespace

std::string shell_quoted(const std::string& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,[]";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

int run_program(int argc, const char* const* argv) {
  std::string command_line = "weft";
  for (int i = 1; i < argc; ++i) command_line += " " + shell_quoted(argv[i]);

  CLI::App app("Send files and messages between machines: of any size, resumed, verified, many at once.",
               "weft");
  app.require_subcommand(1);
  app.set_version_flag("--version", "weft " WEFT_VERSION_STRING);
  app.footer(kFooter);
  Command chosen;
  add_serve_command(app, chosen);
  add_send_command(app, chosen, command_line);
  add_get_command(app, chosen);
  add_ls_command(app, chosen);
  if (argc > 1 && argv[1][0] != '-' && !has_command(app, argv[1])) {
    fmt::print(stderr,
               "weft: there is no command \"{}\"; there are serve, send, get and ls, see weft --help\n",
               escaped(argv[1]));
    return static_cast<int>(ExitCode::Usage);
  }
  try {
    app.parse(argc, argv);
    if (chosen.run) return run_command(chosen);
  } catch (const CLI::ParseError& error) {
    // Help and version come as errors with code 0.
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::Usage);
  } catch (const std::exception& failure) {
    fmt::print(stderr, "weft: {}\n", escaped(failure.what()));
    return static_cast<int>(ExitCode::Incomplete);
  }
  return static_cast<int>(ExitCode::Usage);
}

}  // namespace weft::app
