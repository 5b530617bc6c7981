#include <weft/net/address.hpp>

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ostream>

namespace weft {

namespace {

constexpr socklen_t kUnixHeaderBytes = offsetof(sockaddr_un, sun_path);
constexpr std::size_t kUnixNameMax = sizeof(sockaddr_un::sun_path) - 1;

[[noreturn]] void fail(std::string_view text, std::string_view problem) {
  throw AddressError{"address \"" + std::string{text} + "\": " + std::string{problem}};
}

template <class Integer>
std::optional<Integer> parse_decimal(std::string_view text) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool parse_ipv4(std::string_view host, in_addr& out) {
  return inet_pton(AF_INET, std::string{host}.c_str(), &out) == 1;
}

// "ADDRESS" or "ADDRESS%SCOPE", the scope being an interface's name or index.
bool parse_ipv6(std::string_view host, in6_addr& out, std::uint32_t& scope) {
  const std::size_t percent = host.find('%');
  if (percent != std::string_view::npos) {
    const std::string_view name = host.substr(percent + 1);
    scope = parse_decimal<std::uint32_t>(name).value_or(0);
    if (scope == 0) scope = if_nametoindex(std::string{name}.c_str());
    if (scope == 0) return false;
    host = host.substr(0, percent);
  }
  return inet_pton(AF_INET6, std::string{host}.c_str(), &out) == 1;
}

char hex_digit(unsigned value) { return "0123456789ABCDEF"[value]; }

void append_escaped(std::string& text, char byte) {
  const auto value = static_cast<unsigned char>(byte);
  text += "\\x";
  text += hex_digit(value >> 4);
  text += hex_digit(value & 15);
}

// `leading_at` says that a first '@' is a plain byte of a path, and not the mark of an abstract name.
std::string escape(std::string_view name, bool leading_at) {
  std::string text;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool prints = name[i] >= ' ' && name[i] != '\x7f' && name[i] != '\\';
    const bool high = static_cast<unsigned char>(name[i]) >= 0x80;  // part of UTF-8, as a rule
    if ((prints || high) && !(i == 0 && leading_at && name[i] == '@')) {
      text += name[i];
    } else {
      append_escaped(text, name[i]);
    }
  }
  return text;
}

std::string unescape(std::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    const bool is_escape = text.size() - i >= 4 && text[i] == '\\' && text[i + 1] == 'x' &&
                           std::from_chars(&text[i + 2], &text[i + 2] + 2, value, 16).ptr == &text[i + 2] + 2;
    name += is_escape ? static_cast<char>(value) : text[i];
    if (is_escape) i += 3;
  }
  return name;
}

}  // namespace

Address::Address() noexcept : size_{sizeof(sa_family_t)} {
  std::memset(&storage_, 0, sizeof storage_);
}

Address Address::parse(std::string_view text) {
  constexpr std::string_view kUnixPrefix = "unix:";
  if (text.starts_with(kUnixPrefix)) {
    const std::string_view name = text.substr(kUnixPrefix.size());
    return name.starts_with('@') ? abstract(unescape(name.substr(1))) : unix_path(unescape(name));
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) fail(text, "no port (write HOST:PORT)");
  const std::optional<std::uint16_t> port = parse_decimal<std::uint16_t>(text.substr(colon + 1));
  if (!port) fail(text, "the port is no number from 0 to 65535");
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) fail(text, "no ] before the port");
    return ipv6(host.substr(1, host.size() - 2), *port);
  }
  if (host.find(':') != std::string_view::npos) fail(text, "an IPv6 host needs brackets (write [HOST]:PORT)");
  return ipv4(host, *port);
}

std::optional<Address> Address::try_parse(std::string_view text) {
  try {
    return parse(text);
  } catch (const AddressError&) {
    return std::nullopt;
  }
}

Address Address::ipv4(std::string_view host, std::uint16_t port) {
  Address address;
  address.storage_.v4.sin_family = AF_INET;
  address.storage_.v4.sin_port = htons(port);
  address.size_ = sizeof(sockaddr_in);
  if (!host.empty() && !parse_ipv4(host, address.storage_.v4.sin_addr)) fail(host, "not a numeric IPv4 host");
  return address;
}

Address Address::ipv6(std::string_view host, std::uint16_t port, std::uint32_t scope) {
  Address address;
  sockaddr_in6& v6 = address.storage_.v6;
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_scope_id = scope;
  address.size_ = sizeof(sockaddr_in6);
  if (!host.empty()) {
    std::uint32_t parsed_scope = scope;
    if (!parse_ipv6(host, v6.sin6_addr, parsed_scope)) fail(host, "not a numeric IPv6 host");
    v6.sin6_scope_id = parsed_scope;
  }
  return address;
}

std::optional<Address> Address::numeric(std::string_view host, std::uint16_t port) {
  if (host.empty()) return std::nullopt;
  try {
    return host.find(':') == std::string_view::npos ? ipv4(host, port) : ipv6(host, port);
  } catch (const AddressError&) {
    return std::nullopt;
  }
}

Address Address::unix_path(std::string_view path) {
  if (path.empty()) fail(path, "a UNIX path cannot be empty");
  if (path.size() > kUnixNameMax) fail(path, "a UNIX path has at most 107 bytes");
  if (path.find('\0') != std::string_view::npos) fail(path, "a UNIX path cannot hold a NUL");
  Address address;
  address.storage_.local.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address.storage_.local.sun_path);
  address.size_ = static_cast<socklen_t>(kUnixHeaderBytes + path.size() + 1);
  return address;
}

Address Address::abstract(std::string_view name) {
  if (name.size() > kUnixNameMax) fail(name, "an abstract name has at most 107 bytes");
  Address address;
  address.storage_.local.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), address.storage_.local.sun_path + 1);
  address.size_ = static_cast<socklen_t>(kUnixHeaderBytes + 1 + name.size());
  return address;
}

Address Address::from_sockaddr(const sockaddr* raw, socklen_t size) {
  Address address;
  if (size < static_cast<socklen_t>(sizeof(sa_family_t))) return address;
  const sa_family_t family = raw->sa_family;
  const bool whole = (family == AF_INET && size >= static_cast<socklen_t>(sizeof(sockaddr_in))) ||
                     (family == AF_INET6 && size >= static_cast<socklen_t>(sizeof(sockaddr_in6))) || family == AF_UNIX ||
                     family == AF_UNSPEC;
  if (!whole) throw AddressError{"address family " + std::to_string(family) + " is not known to weft"};
  if (family == AF_UNSPEC) return address;
  if (family == AF_INET) size = sizeof(sockaddr_in);
  if (family == AF_INET6) size = sizeof(sockaddr_in6);
  address.size_ = std::min<socklen_t>(size, sizeof(sockaddr_un));
  std::memcpy(&address.storage_, raw, address.size_);
  // The kernel may or may not count the NUL behind a path (unix(7)): always count it, so that equal paths are equal.
  if (family == AF_UNIX && address.size_ > kUnixHeaderBytes && !address.is_abstract()) {
    const std::string path = address.path();
    const std::size_t with_nul = kUnixHeaderBytes + path.size() + 1;
    address.size_ = static_cast<socklen_t>(std::min(with_nul, sizeof(sockaddr_un)));
  }
  return address;
}

bool Address::is_abstract() const noexcept {
  return is_unix() && size_ > kUnixHeaderBytes && storage_.local.sun_path[0] == '\0';
}

bool Address::is_loopback() const noexcept {
  constexpr std::uint32_t kIpv4LoopbackNet = 127;
  switch (family()) {
    case Family::Ipv4:
      return (ntohl(storage_.v4.sin_addr.s_addr) >> 24) == kIpv4LoopbackNet;
    case Family::Ipv6:
      return IN6_IS_ADDR_LOOPBACK(&storage_.v6.sin6_addr) ||
             (IN6_IS_ADDR_V4MAPPED(&storage_.v6.sin6_addr) && storage_.v6.sin6_addr.s6_addr[12] == kIpv4LoopbackNet);
    case Family::Unix:
      return true;
    case Family::Unspecified:
      break;
  }
  return false;
}

bool Address::is_any() const noexcept {
  if (family() == Family::Ipv4) return storage_.v4.sin_addr.s_addr == htonl(INADDR_ANY);
  return family() == Family::Ipv6 && IN6_IS_ADDR_UNSPECIFIED(&storage_.v6.sin6_addr);
}

std::string Address::host() const {
  char text[INET6_ADDRSTRLEN];
  if (family() == Family::Ipv4) return inet_ntop(AF_INET, &storage_.v4.sin_addr, text, sizeof text);
  if (family() != Family::Ipv6) return {};
  std::string host = inet_ntop(AF_INET6, &storage_.v6.sin6_addr, text, sizeof text);
  if (scope() != 0) {
    char name[IF_NAMESIZE];
    host += '%';
    host += if_indextoname(scope(), name) ? std::string{name} : std::to_string(scope());
  }
  return host;
}

std::uint16_t Address::port() const noexcept {
  if (family() == Family::Ipv4) return ntohs(storage_.v4.sin_port);
  if (family() == Family::Ipv6) return ntohs(storage_.v6.sin6_port);
  return 0;
}

std::uint32_t Address::scope() const noexcept { return family() == Family::Ipv6 ? storage_.v6.sin6_scope_id : 0; }

std::string Address::path() const {
  if (!is_unix() || size_ <= kUnixHeaderBytes) return {};
  const char* name = storage_.local.sun_path;
  const std::size_t size = size_ - kUnixHeaderBytes;
  if (is_abstract()) return {name + 1, size - 1};
  return {name, strnlen(name, size)};
}

Address Address::with_port(std::uint16_t port) const {
  Address address = *this;
  if (family() == Family::Ipv4) {
    address.storage_.v4.sin_port = htons(port);
  } else if (family() == Family::Ipv6) {
    address.storage_.v6.sin6_port = htons(port);
  } else {
    fail(to_string(), "has no port");
  }
  return address;
}

std::string Address::to_string() const {
  switch (family()) {
    case Family::Ipv4:
      return host() + ':' + std::to_string(port());
    case Family::Ipv6:
      return '[' + host() + "]:" + std::to_string(port());
    case Family::Unix:
      return is_abstract() ? "unix:@" + escape(path(), false) : "unix:" + escape(path(), true);
    case Family::Unspecified:
      break;
  }
  return "(no address)";
}

std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept {
  const auto order_of_bytes = [](const void* x, const void* y, std::size_t size) {
    return std::memcmp(x, y, size) <=> 0;
  };
  if (a.family() != b.family()) return a.family() <=> b.family();
  std::strong_ordering order = std::strong_ordering::equal;
  switch (a.family()) {
    case Family::Ipv4:
      order = order_of_bytes(&a.storage_.v4.sin_addr, &b.storage_.v4.sin_addr, sizeof(in_addr));
      break;
    case Family::Ipv6:
      order = order_of_bytes(&a.storage_.v6.sin6_addr, &b.storage_.v6.sin6_addr, sizeof(in6_addr));
      if (order == 0) order = a.scope() <=> b.scope();
      break;
    case Family::Unix:
      order = order_of_bytes(&a.storage_, &b.storage_, std::min(a.size_, b.size_));
      if (order == 0) order = a.size_ <=> b.size_;
      break;
    case Family::Unspecified:
      break;
  }
  return order == 0 ? a.port() <=> b.port() : order;
}

bool operator==(const Address& a, const Address& b) noexcept { return (a <=> b) == 0; }

std::ostream& operator<<(std::ostream& out, const Address& address) { return out << address.to_string(); }

std::size_t Address::hash() const noexcept {
  const auto hash_of_bytes = [](const void* bytes, std::size_t size) {
    return std::hash<std::string_view>{}({static_cast<const char*>(bytes), size});
  };
  switch (family()) {
    case Family::Ipv4:
      return hash_of_bytes(&storage_.v4.sin_addr, sizeof(in_addr)) * 31 + port();
    case Family::Ipv6:
      return hash_of_bytes(&storage_.v6.sin6_addr, sizeof(in6_addr)) * 31 + port();
    case Family::Unix:
      return hash_of_bytes(&storage_, size_);
    case Family::Unspecified:
      break;
  }
  return 0;
}

}  // namespace weft
