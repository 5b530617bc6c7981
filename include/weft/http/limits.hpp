#pragma once

#include <chrono>

#include <weft/base/deadline.hpp>

namespace weft::http {

/// How many connections there may be. They are the process's, shared by all requests.
struct ConnectionLimits {
  /// At once to one host and port, and in all; requests beyond that wait for one. 0: no limit. A request made by another's
  /// on_body needs a connection beside the other's.
  unsigned per_host = 0;
  unsigned total = 0;
  /// Kept open after use, for the next request to the same host; at least one.
  unsigned idle = 128;
  /// When no request has run for so long, all connections are closed.
  Duration idle_time = std::chrono::minutes{1};
};

/// For all requests from now on; exact once those that run have ended. Thread-safety: from anywhere. Blocking: never.
void set_connection_limits(const ConnectionLimits& limits);

}  // namespace weft::http
