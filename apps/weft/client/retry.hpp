#pragma once

#include <atomic>
#include <exception>

#include "base/endpoint.hpp"
#include "base/exit_code.hpp"
#include "client/options.hpp"
#include "client/report.hpp"
#include "weft/sync/event.hpp"

namespace weft::app {

/// When and whether to connect again, for one connection of a transfer.
///
/// Thread-safety: one caller at a time, except progressed().
class Retry {
 public:
  /// `has_connected` is shared by all connections of the transfer: whether one of them ever stood.
  Retry(const ClientOptions& options, std::atomic<bool>& has_connected)
      : options_(options), has_connected_(has_connected) {}

  void connected() { has_connected_.store(true); }
  /// Something was achieved: the next trouble is a new one.
  void progressed() { has_progressed_.store(true); }
  /// Judges a failure of the connection and, if it is worth another try, waits a while (or until `stop`).
  /// Returns: whether to try again. If not, `report` was told why.
  [[nodiscard]] bool wait_after(const std::exception& failure, const Endpoint& server, Report& report,
                                Event& stop);

 private:
  const ClientOptions& options_;
  std::atomic<bool>& has_connected_;
  std::atomic<bool> has_progressed_{false};
  bool is_in_trouble_ = false;
  Deadline give_up_at_;
  Duration pause_{};
};

/// What the exit code says of a connection that failed for this reason.
[[nodiscard]] ExitCode exit_code_of(const std::exception& failure);

}  // namespace weft::app
