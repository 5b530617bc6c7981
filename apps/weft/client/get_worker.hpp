#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/connection.hpp"
#include "client/get_job.hpp"
#include "client/local_target.hpp"
#include "client/retry.hpp"
#include "store/batch.hpp"

namespace weft::app {

/// One connection of a GetJob, made anew when it breaks.
///
/// Requests for small files go out some way ahead of their answers, which come in the same order.
class GetWorker {
 public:
  explicit GetWorker(GetJob& job) : job_(job), retry_(job.options, job.has_connected) {}

  /// Returns when the list is empty and everything is stored, or when nothing can be done any more.
  void run();

 private:
  /// A request whose answer is due.
  struct Asked {
    RequestId id = 0;
    GetItem item;
    bool is_comparison = false;       // a digest was asked for, of a file that is here already
    std::unique_ptr<LocalPart> part;  // of a big file, or of one of unknown size
    std::optional<Sha256> prefix;     // of what the part has already
    bool is_settled = false;          // reported or put back
  };

  void use_connection();
  void receive_all();
  void ask_ahead();
  [[nodiscard]] bool may_ask_more() const;
  void ask(GetItem item);
  [[nodiscard]] bool ask_about_existing(Asked& asked);
  void receive_one();
  void receive_digest(const Asked& asked, const Done& done);
  void receive_file(Asked& asked, const FileHead& head);
  void receive_small(Asked& asked, const FileHead& head);
  void receive_big(Asked& asked, const FileHead& head);
  [[nodiscard]] Sha256 begin_part(Asked& asked, const FileHead& head);
  void finish_part(Asked& asked, const FileHead& head, const Sha256& whole);
  void open_part(Asked& asked, Get& get);
  [[nodiscard]] bool receive_chunks(Asked& asked, const FileHead& head, Sha256& whole);
  [[nodiscard]] bool receive_chunk_header(std::uint64_t wanted, ChunkHeader& header);
  void store_pending();
  void settle_failed(Asked& asked, Code code, const std::string& why);
  void fail(GetItem item, Code code, const std::string& why);
  void return_unanswered();
  void count(GetItem& item, std::uint64_t bytes, bool has_moved);

  GetJob& job_;
  Retry retry_;
  std::unique_ptr<ServerConnection> connection_;
  RequestId next_id_ = 1;
  std::deque<Asked> asked_;
  std::vector<SmallFile> pending_;      // complete, to be stored together
  std::vector<GetItem> pending_items_;  // theirs
  std::size_t pending_bytes_ = 0;
};

}  // namespace weft::app
