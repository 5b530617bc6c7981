// The command lines of send, get and ls.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <filesystem>
#include <memory>
#include <vector>

#include "cli/commands.hpp"
#include "cli/values.hpp"
#include "client/get_job.hpp"
#include "client/list.hpp"
#include "client/plain.hpp"
#include "client/prompt.hpp"
#include "client/send_command.hpp"

namespace weft::app {

namespace {

constexpr const char* kExitCodes =
    R"(Exit codes: 0 done; 1 some files failed; 2 wrong usage; 3 no connection, or lost for good;
4 the token does not allow it; 5 a checksum did not fit; 130 interrupted.)";

constexpr const char* kSendExamples = R"(Examples:
  weft send movie.mkv photos/ nas:8001/backup    a file and a whole folder, into the folder backup
  weft send --overwrite notes.txt nas:8001       replace what is there
  weft send --plain small.txt old:9000           for a server that knows the base protocol only
  weft send nas:8001                             no files: a prompt for msg|TEXT and file|PATH, q ends it

An interrupted upload goes on where it stopped when the same command is given again.)";

constexpr const char* kGetExamples = R"(Examples:
  weft get nas:8001/movie.mkv                    into this folder
  weft get nas:8001/movie.mkv film.mkv           under another name
  weft get nas:8001/photos nas:8001/notes.txt .  a whole folder and a file

An interrupted download goes on where it stopped when the same command is given again.)";

constexpr const char* kLsExamples = R"(Examples:
  weft ls nas:8001                               what is there
  weft ls -lr nas:8001/photos                    with sizes and times, with all folders beneath
  weft ls --json nas:8001                        an object a line, for programs)";

struct Shared {
  ClientOptions options;
  std::string token_file;
  bool no_verify = false;
  bool overwrite = false;
  bool rename = false;

  void settle() {
    options.token = token_file.empty() ? environment("WEFT_TOKEN") : read_token_file(token_file);
    options.checks = !no_verify;
    options.policy = overwrite ? Policy::Overwrite : rename ? Policy::Rename : Policy::Refuse;
  }
};

void add_connection_options(CLI::App& command, Shared& shared) {
  command.add_option("--token-file", shared.token_file, "The token is on its first line (or in $WEFT_TOKEN)")
      ->type_name("PATH");
  command.add_flag("--json", shared.options.json, "A JSON object a line, for programs");
  command.add_flag("-q,--quiet", shared.options.quiet, "Only failures");
  add_duration_option(command, "--connect-timeout", shared.options.connect_timeout, "For connecting");
}

void add_transfer_options(CLI::App& command, Shared& shared) {
  command.add_option("-j,--jobs", shared.options.jobs, "Connections, and so files in flight")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  CLI::Option* overwrite = command.add_flag("--overwrite", shared.overwrite, "Replace files that exist");
  command.add_flag("--rename", shared.rename, "Store as NAME.1 and so on when NAME exists")
      ->excludes(overwrite);
  command.add_flag("--no-verify", shared.no_verify,
                   "No checksums; the kernel then moves the bytes by itself");
  add_duration_option(command, "--retry-for", shared.options.retry_for, "A lost connection is tried again");
  add_connection_options(command, shared);
}

std::string footer(const char* examples, const char* page) {
  return fmt::format("{}\n\n{}\ndocs/{}.md tells more.", examples, kExitCodes, page);
}

struct SendLine {
  Shared shared;
  std::vector<std::string> arguments;  // paths, then the target
  std::string as;
  bool is_plain = false;
};

Command make_send(const std::shared_ptr<SendLine>& line, const std::string& command_line) {
  line->shared.settle();
  const Endpoint target = need_endpoint(line->arguments.back(), "HOST:PORT[/FOLDER], which comes last");
  std::vector<std::string> paths(line->arguments.begin(), line->arguments.end() - 1);
  std::error_code ignored;
  const bool is_one_file = paths.size() == 1 && !std::filesystem::is_directory(paths.front(), ignored);
  if (!line->as.empty() && !is_one_file) throw CLI::ValidationError("--as", "needs exactly one file");
  if (paths.empty()) {
    return {[line, target] { return prompt_command(target, line->shared.options, line->is_plain); }, 0,
            false};
  }
  if (line->is_plain) {
    return {
        [line, target, paths] { return plain_send_command(target, paths, line->as, line->shared.options); },
        0, false};
  }
  return {[line, target, paths, command_line] {
            return send_command(target, paths, line->as, line->shared.options, command_line);
          },
          0, true};
}

struct GetLine {
  Shared shared;
  std::vector<std::string> arguments;  // sources, then perhaps the destination
};

Command make_get(const std::shared_ptr<GetLine>& line) {
  line->shared.settle();
  std::vector<std::string> names;
  std::optional<Endpoint> server;
  std::string destination = ".";
  for (std::size_t i = 0; i < line->arguments.size(); ++i) {
    const std::string& argument = line->arguments[i];
    const std::optional<Endpoint> source = parse_endpoint(argument);
    if (i > 0 && i + 1 == line->arguments.size() && !source) {
      destination = argument;
      break;
    }
    Endpoint one = need_endpoint(argument, "HOST:PORT/NAME");
    if (server && one.server() != server->server()) {
      throw CLI::ValidationError(argument, "all files must come from one server");
    }
    names.push_back(one.name);
    server = std::move(one);
  }
  return {[line, server = *server, names, destination] {
            return get_command(server, names, destination, line->shared.options);
          },
          0, true};
}

}  // namespace

void add_send_command(CLI::App& app, Command& chosen, const std::string& command_line) {
  CLI::App* command = app.add_subcommand("send", "Send files, folders or messages to a server");
  const auto line = std::make_shared<SendLine>();
  command->add_option("arguments", line->arguments, "Files and folders, then HOST:PORT[/FOLDER]")
      ->type_name("PATH... HOST:PORT[/FOLDER]")
      ->required();
  command->add_option("--as", line->as, "Another name for a single file")->type_name("NAME");
  command->add_flag("--plain", line->is_plain,
                    "Speak the base protocol: no answers, no resuming, less than 2 GiB a file");
  add_transfer_options(*command, line->shared);
  command->footer(footer(kSendExamples, "send"));
  command->callback([line, &chosen, command_line] { chosen = make_send(line, command_line); });
}

void add_get_command(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("get", "Get files and folders from a server");
  const auto line = std::make_shared<GetLine>();
  command
      ->add_option("arguments", line->arguments, "What to get, then perhaps where to (default: this folder)")
      ->type_name("HOST:PORT/NAME... [DEST]")
      ->required();
  add_transfer_options(*command, line->shared);
  command->footer(footer(kGetExamples, "get"));
  command->callback([line, &chosen] { chosen = make_get(line); });
}

void add_ls_command(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("ls", "List what a server has");
  struct LsLine {
    Shared shared;
    std::string target;
    ListOptions list;
  };
  const auto line = std::make_shared<LsLine>();
  command->add_option("target", line->target, "Where")->type_name("HOST:PORT[/FOLDER]")->required();
  command->add_flag("-l,--long", line->list.is_long, "Sizes and times too");
  command->add_flag("-r,--recursive", line->list.recursive, "All folders beneath");
  add_connection_options(*command, line->shared);
  command->footer(footer(kLsExamples, "ls"));
  command->callback([line, &chosen] {
    line->shared.settle();
    const Endpoint target = need_endpoint(line->target, "HOST:PORT[/FOLDER]");
    chosen = {[line, target] { return list_command(target, line->shared.options, line->list); }, 0, false};
  });
}

}  // namespace weft::app
