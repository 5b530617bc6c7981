#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/net/address.hpp>
#include <weft/net/socket.hpp>

namespace weft {

/// A name that could not be resolved.
class ResolveError : public Error {
 public:
  ResolveError(const std::string& what, int code) : Error(what), code_(code) {}
  /// One of the EAI_ values of getaddrinfo(3).
  [[nodiscard]] int code() const noexcept { return code_; }

 private:
  int code_;
};

struct ResolveOptions {
  Family family = Family::Unspecified;
  SocketType type = SocketType::Stream;
  /// An empty host means any address (for a server) instead of the loopback addresses (for a client).
  bool passive = false;
  Deadline deadline = {};
};

/// The addresses of a host, in the order of preference of the system (RFC 6724), without duplicates.
///
/// Semantics: after Python socket.getaddrinfo; `service` is a port number or a name from /etc/services.
/// Blocking:  a numeric host with a numeric service is answered at once. Names are looked up by a few helper threads
///            of the library, so that a slow name server delays no worker. When the deadline passes or the caller
///            is cancelled, the caller goes its way and the look-up ends by itself.
/// Throws:    ResolveError, TimeoutError.
[[nodiscard]] std::vector<Address> getaddrinfo(std::string_view host, std::string_view service,
                                               const ResolveOptions& options = {});
[[nodiscard]] std::vector<Address> getaddrinfo(std::string_view host, std::uint16_t port,
                                               const ResolveOptions& options = {});

}  // namespace weft
