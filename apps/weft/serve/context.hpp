#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "serve/options.hpp"
#include "serve/upload_registry.hpp"
#include "store/root.hpp"
#include "weft/sync/lock.hpp"

namespace spdlog {
class logger;
}

namespace weft::app {

/// What all connections of one server share.
struct ServerContext {
  ServerContext(const ServeOptions& serve_options, const Root& served_root, spdlog::logger& logger)
      : options(serve_options), root(served_root), log(logger) {}

  const ServeOptions& options;
  const Root& root;
  spdlog::logger& log;
  UploadRegistry uploads;
  /// Set when the server stops: a connection ends after the request at hand.
  std::atomic<bool> is_draining{false};

  /// Shows a message a client sent, on standard output. Waits for whoever reads it.
  void print_text(std::string_view peer, std::string_view text);

 private:
  Lock printing_;
};

}  // namespace weft::app
