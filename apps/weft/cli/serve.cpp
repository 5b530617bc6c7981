#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <map>
#include <memory>

#include "base/stop_signals.hpp"
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/values.hpp"
#include "serve/options.hpp"
#include "serve/server.hpp"
#include "store/root.hpp"
#include "weft/io/blocking.hpp"

namespace weft::app {

namespace {

constexpr const char* kServeFooter = R"(Examples:
  weft serve                                   the folder files/, on this machine only
  weft serve /srv/in --host 0.0.0.0            for the whole network: better with a token
  weft serve --write-token-file token.txt      uploads for those who have the token, nothing else for anyone
  weft serve --port 0                          any free port; the one in use is printed

Exit codes: 0 stopped in good order; 1 transfers were cut; 2 wrong usage; 3 cannot listen.
docs/serve.md tells more.)";

std::shared_ptr<spdlog::logger> make_log(bool is_quiet) {
  // A log whose reader is slow must not hold up transfers: lines wait in a queue, and the oldest are lost first.
  spdlog::init_thread_pool(8192, 1);
  auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>();
  auto log = std::make_shared<spdlog::async_logger>("weft", sink, spdlog::thread_pool(),
                                                    spdlog::async_overflow_policy::overrun_oldest);
  log->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%l%$ %v");
  log->set_level(is_quiet ? spdlog::level::warn : spdlog::level::info);
  return log;
}

// Every connection and every file in flight is a descriptor, and the usual soft limit is 1,024.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

void print_greeting(const ServeOptions& options, const Address& address) {
  fmt::print("weft serve: listening on {}, folder {}\n", address.to_string(), options.folder);
  const std::string reachable =
      address.is_any() ? fmt::format("THIS-MACHINE:{}", address.port()) : address.to_string();
  fmt::print("send to it with:  weft send FILE... {}\n", reachable);
  std::fflush(stdout);
}

// A session that hangs in the kernel cannot be unwound; the process can still end.
[[noreturn]] void leave_at_once(spdlog::logger& log) {
  log.flush();
  spdlog::shutdown();
  std::fflush(stdout);
  ::_exit(static_cast<int>(ExitCode::Incomplete));
}

ExitCode serve(const ServeOptions& options) {
  raise_descriptor_limit();
  const std::shared_ptr<spdlog::logger> log = weft::blocking([&] { return make_log(options.is_quiet); });
  const Root root = weft::blocking([&] { return Root::open(options.folder); });
  Server server(options, root, *log);
  try {
    print_greeting(options, server.listen());
  } catch (const std::exception& failure) {
    fmt::print(stderr, "weft: {}\n", failure.what());
    return ExitCode::Unreachable;
  }
  std::vector<std::string> cut;
  {
    const StopSignals signals([&](int count) {
      if (count == 1) log->info("stopping: finishing what is in flight; a second signal stops at once");
      server.stop();
    });
    cut = server.run();
  }
  for (const std::string& line : cut) fmt::print(stderr, "weft: cut: {}\n", line);
  if (server.has_sessions()) leave_at_once(*log);
  if (cut.empty()) log->info("stopped");
  spdlog::shutdown();
  return cut.empty() ? ExitCode::Done : ExitCode::Incomplete;
}

void add_limits(CLI::App& command, ServeOptions& options) {
  command.add_option("--max-connections", options.max_connections, "More are refused")->capture_default_str();
  add_bytes_option(command, "--max-frame", options.max_frame_bytes, "Longest control message or text")
      ->check([](const std::string& text) {
        const auto bytes = parse_bytes(text);
        return bytes && *bytes >= 1024 && *bytes <= (1u << 30) ? "" : "must be from 1K to 1G";
      });
  add_duration_option(command, "--header-timeout", options.header_timeout,
                      "For one control message to come in whole");
  add_duration_option(command, "--idle-timeout", options.idle_timeout, "Between two messages");
  add_bytes_option(
      command, "--min-rate", options.min_bytes_per_second,
      "Bytes a second below which a transfer is cut, over half a minute; 0: only when nothing moves");
  add_duration_option(command, "--drain-timeout", options.drain_timeout,
                      "For transfers to end after SIGTERM");
  add_duration_option(command, "--part-age", options.part_age, "After which unfinished uploads are removed");
}

}  // namespace

void add_serve_command(CLI::App& app, Command& chosen) {
  CLI::App* command =
      app.add_subcommand("serve", "Serve a folder: receive files and messages, and give files out");
  const auto options = std::make_shared<ServeOptions>();
  const auto tokens = std::make_shared<std::pair<std::string, std::string>>();
  static const std::map<std::string, Fsync> kFsync = {
      {"none", Fsync::None}, {"file", Fsync::File}, {"full", Fsync::Full}};
  command->add_option("folder", options->folder, "The folder; made when missing")->capture_default_str();
  command->add_option("--host", options->host, "Address to listen on; 0.0.0.0 or :: for all")
      ->capture_default_str();
  command->add_option("-p,--port", options->port, "Port to listen on; 0: any free one")
      ->capture_default_str();
  command
      ->add_option(
          "--fsync", options->fsync,
          "What is on the disk before an upload is answered: none; file (content and name); full (times and "
          "modes too, and long uploads on their way)")
      ->transform(CLI::Transformer(kFsync))
      ->default_str("file");
  command->add_option("--read-token-file", tokens->first, "A token for downloads is on its first line")
      ->type_name("PATH");
  command->add_option("--write-token-file", tokens->second, "The same for uploads")->type_name("PATH");
  add_limits(*command, *options);
  command->add_option("--workers", options->workers, "Threads that run fibers; 0: one a core")
      ->capture_default_str();
  command->add_flag("-q,--quiet", options->is_quiet, "Log warnings only");
  command->footer(kServeFooter);
  command->callback([options, tokens, &chosen] {
    options->read_token =
        tokens->first.empty() ? environment("WEFT_READ_TOKEN") : read_token_file(tokens->first);
    options->write_token =
        tokens->second.empty() ? environment("WEFT_WRITE_TOKEN") : read_token_file(tokens->second);
    chosen.run = [options] { return serve(*options); };
    chosen.workers = options->workers;
    chosen.handles_signals = true;
  });
}

}  // namespace weft::app
