#include <weft/net/server_socket.hpp>

#include <cerrno>

#include <weft/net/resolver.hpp>

namespace weft {

namespace {

bool says_no_ipv6_here(int error) { return error == EAFNOSUPPORT || error == EADDRNOTAVAIL; }

Socket serve_everywhere(std::uint16_t port, const ServerOptions& options) {
  if (options.dual_stack) {
    try {
      return create_server(Address::ipv6({}, port), options);
    } catch (const OSError& error) {
      if (!says_no_ipv6_here(error.errno_value())) throw;
    }
  }
  return create_server(Address::ipv4({}, port), options);
}

}  // namespace

Socket create_server(const Address& address, const ServerOptions& options) {
  Socket server = Socket::open(address.family(), SocketType::Stream);
  if (!address.is_unix()) {
    server.set_reuse_address(options.reuse_address);
    if (options.reuse_port) server.set_reuse_port(true);
  }
  if (address.family() == Family::Ipv6) server.set_v6only(!options.dual_stack);
  server.bind(address);
  server.listen(options.backlog);
  return server;
}

Socket create_server(std::string_view host, std::uint16_t port, const ServerOptions& options) {
  if (host.empty()) return serve_everywhere(port, options);
  return create_server(getaddrinfo(host, port, {.passive = true}).front(), options);
}

}  // namespace weft
