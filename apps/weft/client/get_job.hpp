#pragma once

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/exit_code.hpp"
#include "client/connection.hpp"
#include "client/transfer_job.hpp"
#include "store/root.hpp"

namespace weft::app {

/// A file on its way from the server.
struct GetItem {
  std::string remote;                 // on the server
  std::string local;                  // beneath the destination
  std::optional<std::uint64_t> size;  // where a listing told it
  unsigned corrupt_tries = 0;
  std::uint64_t counted_bytes = 0;  // of Progress::bytes_done, to be taken back when the try fails
};

/// Receives files and folders; its workers are GetWorkers.
///
/// Thread-safety: run() by one fiber; stop() from any thread.
class GetJob : public TransferJob<GetItem> {
 public:
  GetJob(const Endpoint& endpoint, const ClientOptions& client_options, const Root& local_root,
         Report& user_report)
      : TransferJob(endpoint, client_options, user_report), destination(local_root) {}

  /// Receives `names`, each a file or a whole folder, into the destination. `as` renames a single one.
  void run(const std::vector<std::string>& names, const std::string& as);

  const Root& destination;

 private:
  void find_files(const std::vector<std::string>& names, const std::string& as);
  void find(ServerConnection& connection, const std::string& name, const std::string& local);
  void add_file(GetItem item);

  // A listing that was cut is asked for again.
  std::size_t names_found_ = 0;
  std::unordered_set<std::string> found_;
};

/// `weft get`, after its command line: chooses the destination as cp does.
[[nodiscard]] ExitCode get_command(const Endpoint& server, const std::vector<std::string>& names,
                                   const std::string& destination, const ClientOptions& options);

}  // namespace weft::app
