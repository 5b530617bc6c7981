#pragma once

#include <memory>
#include <string>

#include "serve/activity.hpp"
#include "serve/context.hpp"
#include "xfer/wire.hpp"

namespace weft::app {

/// One connection, from its first byte to its last; one fiber runs it.
///
/// It begins with the base protocol; a Hello as the first message makes it speak the extended one from then on.
/// Thread-safety: run() by one fiber; the rest from anywhere while the Session exists.
class Session {
 public:
  Session(ServerContext& context, Socket socket);

  /// Serves until either side ends the conversation; reports to the log, never throws but Cancelled.
  void run();

  /// The server is draining: end the conversation if nothing is going on, else after what is.
  void nudge();
  /// End it now.
  void cut();
  /// What is going on, with the peer's address; empty when nothing is.
  [[nodiscard]] std::string activity() const;
  [[nodiscard]] const std::string& peer() const noexcept { return peer_; }

 private:
  void converse();
  void run_plain(std::string first_frame);
  [[nodiscard]] bool handle_plain(std::string_view frame);
  [[nodiscard]] std::optional<std::string> first_frame();
  [[nodiscard]] std::optional<std::string> next_frame();
  [[nodiscard]] bool has_input(Deadline deadline, Duration timeout);
  void report_failure(const std::exception& failure);

  ServerContext& context_;
  Wire wire_;
  std::string peer_;
  Activity activity_;
};

}  // namespace weft::app
