#pragma once

#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/fd.hpp"
#include "base/hashing.hpp"
#include "client/connection.hpp"
#include "client/retry.hpp"
#include "client/send_job.hpp"
#include "weft/sync/condition.hpp"
#include "weft/sync/lock.hpp"

namespace weft::app {

/// One connection of a SendJob, made anew when it breaks.
///
/// Its own fiber sends; a second one receives the answers meanwhile, so that many files can be on their way at once.
class SendWorker {
 public:
  explicit SendWorker(SendJob& job) : job_(job), retry_(job.options, job.has_connected) {}

  /// Returns when the list is empty and everything is answered, or when nothing can be done any more.
  void run();

 private:
  /// The answers to the upload that is being negotiated or sent by itself.
  struct Current {
    RequestId id = 0;
    std::optional<Ready> ready;
    bool has_failed = false;
  };

  // The sending fiber.
  void use_connection();
  void send_all();
  void send_batch(std::vector<SendItem>& batch);
  void send_small(std::vector<SendItem>& batch);
  void send_big(SendItem item);
  void send_body(const Put& put, int file, const Ready& ready, const LocalFile& local);
  [[nodiscard]] bool send_checked(const Put& put, int file, std::uint64_t offset, Sha256& whole);
  [[nodiscard]] bool send_unchecked(const Put& put, int file, std::uint64_t offset);
  [[nodiscard]] std::uint64_t agree_on_offset(const Put& put, int file, const Ready& ready, Sha256& whole);
  void make_folder(SendItem item);
  void compare(SendItem item);
  void count_sent(RequestId id, std::uint64_t bytes);
  void count_found(RequestId id, std::uint64_t bytes);
  void note_digest(RequestId id, const std::string& sha256);
  /// Reports it as failed. Returns: whether it was in flight.
  bool give_up(RequestId id, const Refusal& why);
  void abort_chunks();
  [[nodiscard]] std::optional<Ready> wait_ready(RequestId id);
  [[nodiscard]] bool current_failed() const;
  void wait_until_answered();
  [[nodiscard]] RequestId begin(SendItem item, const std::string& sha256);

  // The receiving fiber.
  void receive_answers();
  void handle(const Response& response);
  void note_offset(const Ready& ready);
  void finish(const Done& done);
  void finish(const Failed& failed);
  void fail_connection(std::exception_ptr failure);

  // Between connections.
  void return_unanswered();

  SendJob& job_;
  Retry retry_;
  std::unique_ptr<ServerConnection> connection_;
  RequestId next_id_ = 1;

  struct InFlight {
    SendItem item;
    std::string sha256;  // of the local file, once known
  };
  mutable Lock lock_;  // guards the rest
  Condition changed_;
  std::map<RequestId, InFlight> in_flight_;
  std::uint64_t in_flight_bytes_ = 0;
  Current current_;
  std::exception_ptr failure_;  // of the connection
};

}  // namespace weft::app
