#include "base/endpoint.hpp"

#include <fmt/format.h>

#include <charconv>

namespace weft::app {

namespace {

std::string_view without_slashes(std::string_view name) {
  while (name.starts_with('/')) name.remove_prefix(1);
  while (name.ends_with('/')) name.remove_suffix(1);
  return name;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (text.empty() || error != std::errc{} || stop != end || port == 0) return std::nullopt;
  return port;
}

}  // namespace

std::string Endpoint::server() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

std::string Endpoint::to_string() const {
  return name.empty() ? server() : server() + "/" + name;
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t slash = text.find('/');
  std::string_view server = text.substr(0, slash);
  const std::string_view name = slash == std::string_view::npos ? "" : without_slashes(text.substr(slash));
  const std::size_t colon = server.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const std::optional<std::uint16_t> port = parse_port(server.substr(colon + 1));
  if (!port) return std::nullopt;
  std::string_view host = server.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;  // an IPv6 address needs brackets, or its end could be taken for the port
  }
  if (host.empty()) return std::nullopt;
  return Endpoint{std::string(host), *port, std::string(name)};
}

}  // namespace weft::app
