#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/transfer_job.hpp"
#include "client/walk.hpp"

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

/// Sends files and folders; its workers are SendWorkers.
///
/// Thread-safety: run() by one fiber; stop() from any thread.
class SendJob : public TransferJob<SendItem> {
 public:
  using TransferJob::TransferJob;

  /// Sends `paths`, each as a file or a whole tree. `as` renames a single file.
  void run(const std::vector<std::string>& paths, const std::string& as);

 private:
  void find_files(const std::vector<std::string>& paths, const std::string& as);
  void add_file(LocalFile file);
};

}  // namespace weft::app
