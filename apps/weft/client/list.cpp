#include "client/list.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "client/retry.hpp"

namespace weft::app {

namespace {

std::string time_text(std::int64_t mtime_ns) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S}",
                     fmt::localtime(static_cast<std::time_t>(mtime_ns / 1'000'000'000)));
}

std::string entry_json(const Entry& entry) {
  nlohmann::json object = {{"name", entry.name}, {"folder", entry.is_folder}, {"mtime_ns", entry.mtime_ns}};
  if (!entry.is_folder) object["size"] = entry.size;
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string entry_line(const Entry& entry, const ListOptions& list) {
  const std::string name = escaped(entry.name) + (entry.is_folder ? "/" : "");
  if (!list.is_long) return name;
  const std::string size = entry.is_folder ? "-" : bytes_text(entry.size);
  return fmt::format("{:>10}  {}  {}", size, time_text(entry.mtime_ns), name);
}

}  // namespace

std::uint64_t fetch_listing(ServerConnection& connection, const std::string& folder, bool recursive,
                            const std::function<void(const Entry&)>& found) {
  constexpr RequestId kId = 1;
  connection.wire().queue(List{kId, folder, recursive});
  connection.wire().flush();
  std::uint64_t hidden = 0;
  while (true) {
    const Entries part = connection.recv_answer<Entries>(kId);
    for (const Entry& entry : part.entries) found(entry);
    hidden += part.hidden;
    if (!part.more) return hidden;
  }
}

ExitCode list_command(const Endpoint& target, const ClientOptions& options, const ListOptions& list) {
  try {
    ServerConnection connection(target, options);
    const std::uint64_t hidden =
        fetch_listing(connection, target.name, list.recursive, [&](const Entry& entry) {
          fmt::print("{}\n", options.json ? entry_json(entry) : entry_line(entry, list));
        });
    connection.say_close();
    std::fflush(stdout);
    if (hidden > 0 && !options.quiet) {
      fmt::print(stderr, "weft: {} more: neither files nor folders, or with names that cannot travel\n",
                 hidden);
    }
    return ExitCode::Done;
  } catch (const Refusal& refusal) {
    fmt::print(stderr, "weft: {}: {}\n", target.to_string(), escaped(refusal.what()));
    return refusal.code() == Code::Denied ? ExitCode::Denied : ExitCode::Incomplete;
  } catch (const std::exception& failure) {
    fmt::print(stderr, "weft: {}: {}\n", target.server(), escaped(failure.what()));
    return exit_code_of(failure);
  }
}

}  // namespace weft::app
