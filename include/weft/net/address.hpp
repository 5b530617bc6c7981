#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include <weft/base/error.hpp>

namespace weft {

/// The kind of network an address or a socket belongs to.
enum class Family : int {
  Unspecified = AF_UNSPEC,
  Ipv4 = AF_INET,
  Ipv6 = AF_INET6,
  Unix = AF_UNIX,
};

/// A text or a part of it that is no address.
class AddressError : public Error {
 public:
  using Error::Error;
};

/// Where a socket lives or talks to: IPv4, IPv6, a UNIX path or a UNIX abstract name. A plain value.
///
/// Semantics:     after the address tuples of Python's socket module; differs: one type for all families, and
///                hosts are always numeric (names are the resolver's business, see resolver.hpp).
/// Thread-safety: as an int: distinct objects freely, one object while nobody writes it.
/// Example:       tests/net/address_test.cpp
class Address {
 public:
  /// The address of nothing: family Unspecified. (A UNIX socket without a name has family Unix and an empty path.)
  Address() noexcept;

  /// Reads "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", "unix:/path" or "unix:@abstract", where \xNN in a UNIX
  /// name stands for that byte.
  /// Throws: AddressError naming the text and what is wrong with it.
  [[nodiscard]] static Address parse(std::string_view text);
  /// As parse(), without a throw for a text that is no address.
  [[nodiscard]] static std::optional<Address> try_parse(std::string_view text);

  /// An IPv4 address; `host` is numeric, empty means any (0.0.0.0). Throws: AddressError.
  [[nodiscard]] static Address ipv4(std::string_view host, std::uint16_t port);
  /// An IPv6 address; `host` is numeric, may end in %SCOPE, empty means any (::). Throws: AddressError.
  [[nodiscard]] static Address ipv6(std::string_view host, std::uint16_t port, std::uint32_t scope = 0);
  /// Either of the two, by the look of `host`; nothing when `host` is not numeric.
  [[nodiscard]] static std::optional<Address> numeric(std::string_view host, std::uint16_t port);
  /// A UNIX socket in the file system. Throws: AddressError when empty, over 107 bytes, or holding a NUL.
  [[nodiscard]] static Address unix_path(std::string_view path);
  /// A UNIX socket in the abstract name space, which vanishes with its last user; `name` may hold any bytes.
  /// Throws: AddressError when over 107 bytes.
  [[nodiscard]] static Address abstract(std::string_view name);
  /// What the kernel filled in. Throws: AddressError for a family weft does not know.
  [[nodiscard]] static Address from_sockaddr(const sockaddr* address, socklen_t size);

  [[nodiscard]] Family family() const noexcept { return static_cast<Family>(storage_.any.sa_family); }
  [[nodiscard]] bool is_unix() const noexcept { return family() == Family::Unix; }
  [[nodiscard]] bool is_abstract() const noexcept;
  /// Whether this is 127.0.0.0/8, ::1 or a UNIX address: reachable from this machine only.
  [[nodiscard]] bool is_loopback() const noexcept;
  /// Whether this is 0.0.0.0 or ::.
  [[nodiscard]] bool is_any() const noexcept;

  /// The numeric host without port or brackets ("127.0.0.1", "fe80::1%eth0"); empty for UNIX.
  [[nodiscard]] std::string host() const;
  /// The port in host byte order; 0 for UNIX.
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// The interface index of a link-local IPv6 address, else 0.
  [[nodiscard]] std::uint32_t scope() const noexcept;
  /// The path, or the abstract name without its leading NUL; empty for the other families.
  [[nodiscard]] std::string path() const;
  /// The same address with another port. Throws: AddressError for UNIX.
  [[nodiscard]] Address with_port(std::uint16_t port) const;

  /// What parse() reads. Bytes of UNIX names that do not print, and backslashes, are shown as \xNN.
  [[nodiscard]] std::string to_string() const;

  [[nodiscard]] const sockaddr* data() const noexcept { return &storage_.any; }
  [[nodiscard]] socklen_t size() const noexcept { return size_; }

  friend bool operator==(const Address& a, const Address& b) noexcept;
  /// By family, then address, then port: a total order for maps, without further meaning.
  friend std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept;
  friend std::ostream& operator<<(std::ostream& out, const Address& address);

  [[nodiscard]] std::size_t hash() const noexcept;

 private:
  union Storage {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un local;
  };

  Storage storage_;
  socklen_t size_;
};

}  // namespace weft

template <>
struct std::hash<weft::Address> {
  std::size_t operator()(const weft::Address& address) const noexcept { return address.hash(); }
};
