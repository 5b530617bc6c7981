#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include <weft/base/deadline.hpp>
#include <weft/net/address.hpp>
#include <weft/net/socket.hpp>

namespace weft {

struct ConnectOptions {
  /// How long resolving and connecting may take together; nothing: as long as the system lets it.
  std::optional<Duration> timeout = {};
  /// The same as a point in time; the earlier of the two counts.
  Deadline deadline = {};
  /// Where the connection shall come from (port 0: any port). Only addresses of its family are tried.
  std::optional<Address> source_address = {};
  /// How long one address is tried alone before the next is tried beside it (RFC 8305 recommends 250 ms).
  Duration attempt_delay = std::chrono::milliseconds(250);
};

/// Connects to a named service: all addresses of `host` in the manner of RFC 8305 ("happy eyeballs").
///
/// Semantics:     after Python socket.create_connection; differs: families are interleaved and attempts overlap, so
///                a dead address costs a quarter of a second instead of minutes, and the limit covers resolving and
///                all attempts together. The first connection that stands is returned, all others are closed.
/// Blocking:      parks the fiber, or the thread when called outside one; a cancellation point.
/// Throws:        ResolveError; TimeoutError; OSError whose text names every address tried and why it failed,
///                and whose number is that of the last failure.
[[nodiscard]] Socket create_connection(std::string_view host, std::uint16_t port, const ConnectOptions& options = {});
/// Connects to one address of any family, UNIX included.
[[nodiscard]] Socket create_connection(const Address& address, const ConnectOptions& options = {});

}  // namespace weft
