#pragma once

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/endpoint.hpp"
#include "client/open_sockets.hpp"
#include "client/options.hpp"
#include "client/report.hpp"
#include "client/walk.hpp"
#include "client/work_list.hpp"
#include "weft/fiber/fiber.hpp"
#include "weft/net/socket.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/lock.hpp"

namespace weft::app {

/// A file on its way to the server, through all its tries.
struct SendItem {
  LocalFile file;
  unsigned corrupt_tries = 0;
  /// The server has a file of this name and size: find out whether it is this one.
  bool must_compare = false;
  std::uint64_t last_offset = 0;    // where the server went on last
  std::uint64_t counted_bytes = 0;  // of Progress::bytes_done, to be taken back when the try fails
};

/// Sends files and folders over several connections.
///
/// One fiber walks the local tree, the others each have a connection and take from a common list (SendWorker).
/// Thread-safety: run() by one fiber; stop() from any thread.
class SendJob {
 public:
  SendJob(const Endpoint& target, const ClientOptions& options, Report& report);

  /// Sends `paths`, each as a file or a whole tree. `as` renames a single file.
  void run(const std::vector<std::string>& paths, const std::string& as);
  /// Ends everything at once; what was not finished can be resumed.
  void stop();

  // What the workers share.
  const Endpoint& target;
  const ClientOptions& options;
  Report& report;
  WorkList<SendItem> work;
  OpenSockets sockets;
  Event stopped;
  std::atomic<bool> has_connected{false};
  std::atomic<int> connections{0};

 private:
  void find_files(const std::vector<std::string>& paths, const std::string& as);
  void add(LocalFile file);

  std::vector<Fiber<void>> workers_;
};

}  // namespace weft::app
