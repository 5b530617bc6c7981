#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "base/text.hpp"
#include "client/get_job.hpp"
#include "client/interrupt.hpp"
#include "proto/names.hpp"

namespace weft::app {

namespace {

struct Destination {
  std::string folder;
  std::string as;  // the file's new name; empty: its own
};

// As cp: into a folder that exists, or under a new name.
Destination choose_destination(const std::string& path, std::size_t names) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored) || names > 1 || path.ends_with('/')) return {path, ""};
  const SplitName split = split_name(path);
  const bool has_folder = split.leaf.size() < path.size();
  return {!has_folder            ? "."
          : split.folder.empty() ? "/"
                                 : std::string(split.folder),
          std::string(split.leaf)};
}

}  // namespace

ExitCode get_command(const Endpoint& server, const std::vector<std::string>& names,
                     const std::string& destination, const ClientOptions& options) {
  const Destination target = choose_destination(destination, names.size());
  const std::string farewell = "interrupted; the same command goes on where this one stopped";
  Report report(options, "received");
  try {
    const Root root = Root::open(target.folder, /*with_private_folder=*/false);
    GetJob job(server, options, root, report);
    {
      const InterruptGuard guard([&] { job.stop(); }, farewell);
      job.run(names, target.as);
    }
    if (job.stopped.is_set()) report.give_up(ExitCode::Interrupted, farewell);
  } catch (const std::exception& failure) {
    report.give_up(ExitCode::Incomplete, failure.what());
  }
  report.summarize();
  return report.exit_code();
}

}  // namespace weft::app
