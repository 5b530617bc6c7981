#pragma once

#include <cstdint>
#include <string_view>

#include <weft/net/address.hpp>
#include <weft/net/socket.hpp>

namespace weft {

struct ServerOptions {
  int backlog = Socket::kDefaultBacklog;
  /// Take the port over from connections of an earlier process that still linger (SO_REUSEADDR).
  bool reuse_address = true;
  /// Let several sockets listen on the port and share its connections (SO_REUSEPORT).
  bool reuse_port = false;
  /// Let an IPv6 socket on the any-address serve IPv4 clients too.
  bool dual_stack = true;
};

/// A listening stream socket on `address`; port 0 lets the kernel pick (see Socket::local_address()).
///
/// Semantics: after Python socket.create_server; differs: dual stack by default. A UNIX path that exists is an
///            error, as in bind(2): removing a stale one is the caller's decision.
/// Throws:    OSError such as "bind to 127.0.0.1:80: Permission denied".
[[nodiscard]] Socket create_server(const Address& address, const ServerOptions& options = {});

/// The same for a host, which may be a name (its first address is used). Empty means every address of this machine:
/// IPv6 and IPv4 where the machine has IPv6 and `dual_stack` is set, else IPv4.
/// Throws: OSError; ResolveError.
[[nodiscard]] Socket create_server(std::string_view host, std::uint16_t port, const ServerOptions& options = {});

}  // namespace weft
