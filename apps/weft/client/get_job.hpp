#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/endpoint.hpp"
#include "client/connection.hpp"
#include "client/options.hpp"
#include "client/report.hpp"
#include "client/send_job.hpp"
#include "client/work_list.hpp"
#include "store/root.hpp"
#include "weft/fiber/fiber.hpp"
#include "weft/sync/event.hpp"

namespace weft::app {

/// A file on its way from the server.
struct GetItem {
  std::string remote;                 // on the server
  std::string local;                  // beneath the destination
  std::optional<std::uint64_t> size;  // where a listing told it
  unsigned corrupt_tries = 0;
  std::uint64_t counted_bytes = 0;  // of Progress::bytes_done, to be taken back when the try fails
};

/// Receives files and folders over several connections.
///
/// One fiber finds out what there is to receive, the others each have a connection and take from a common list.
/// Thread-safety: run() by one fiber; stop() from any thread.
class GetJob {
 public:
  GetJob(const Endpoint& server, const ClientOptions& options, const Root& destination, Report& report);

  /// Receives `names`, each a file or a whole folder, into the destination. `as` renames a single one.
  void run(const std::vector<std::string>& names, const std::string& as);
  void stop();

  // What the workers share.
  const Endpoint& server;
  const ClientOptions& options;
  const Root& destination;
  Report& report;
  WorkList<GetItem> work;
  OpenSockets sockets;
  Event stopped;
  std::atomic<bool> has_connected{false};
  std::atomic<int> connections{0};

 private:
  void find_files(const std::vector<std::string>& names, const std::string& as);
  void find(ServerConnection& connection, const std::string& name, const std::string& local);
  void add(GetItem item);

  std::vector<Fiber<void>> workers_;
  // A listing that was cut is asked for again.
  std::size_t names_found_ = 0;
  std::unordered_set<std::string> found_;
};

/// `weft get`, after its command line: chooses the destination as cp does.
[[nodiscard]] ExitCode get_command(const Endpoint& server, const std::vector<std::string>& names,
                                   const std::string& destination, const ClientOptions& options);

}  // namespace weft::app
