#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "store/root.hpp"
#include "weft/base/deadline.hpp"

namespace weft::app {

/// The settings of `weft serve`; docs/serve.md describes each.
struct ServeOptions {
  std::string folder = "files";
  std::string host = "127.0.0.1";
  std::uint16_t port = 8001;  // 0: the kernel picks
  unsigned workers = 0;       // 0: one a core
  Fsync fsync = Fsync::File;

  // A right without a token is everyone's only while no token is set at all.
  std::string read_token;
  std::string write_token;

  std::size_t max_connections = 256;
  std::uint64_t max_frame_bytes = 1 << 20;
  /// From the first byte of a control message (for the first one: from the connection itself) to its last.
  Duration header_timeout = std::chrono::seconds(10);
  /// Between two messages.
  Duration idle_timeout = std::chrono::minutes(5);
  /// While a file is on its way, in either direction, measured over half a minute.
  std::uint64_t min_bytes_per_second = 1024;
  /// How long SIGTERM lets transfers go on.
  Duration drain_timeout = std::chrono::seconds(30);
  /// Unfinished uploads nobody comes back for.
  Duration part_age = std::chrono::hours(7 * 24);

  bool is_quiet = false;  // log warnings only

  [[nodiscard]] bool has_tokens() const { return !read_token.empty() || !write_token.empty(); }
};

}  // namespace weft::app
