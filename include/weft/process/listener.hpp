#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/net/address.hpp>
#include <weft/process/connection.hpp>

namespace weft::process {

/// Where a Listener listens, in the forms that multiprocessing.connection knows.
class ListenerAddress {
 public:
  ListenerAddress(const Address& address) : address_{address} {}
  /// A path; or, when it begins with a NUL byte, a name in the abstract name space. Throws: AddressError.
  ListenerAddress(std::string_view path);
  ListenerAddress(const char* path) : ListenerAddress{std::string_view{path}} {}
  ListenerAddress(const std::string& path) : ListenerAddress{std::string_view{path}} {}
  /// IPv4, as in Python; the host may be a name, empty means all of this machine's addresses; port 0: any. Throws:
  /// ResolveError.
  ListenerAddress(std::string_view host, std::uint16_t port);

  [[nodiscard]] const Address& address() const noexcept { return address_; }

 private:
  Address address_;
};

namespace detail {
/// Before the first member of options: they are given by name only, and a host and a port are no options.
struct ByName {
  explicit ByName() = default;
};
}  // namespace detail

struct ListenerOptions {
  detail::ByName by_name = detail::ByName{};
  /// What both ends must know. It authenticates the peers and nothing more: what follows is neither encrypted nor
  /// protected, so that TCP is for networks that are trusted. Use a key for nothing else; 32 random bytes are a good
  /// one. Nothing: whoever can connect may.
  std::optional<std::string> authkey = {};
  /// Connections that the kernel completes before accept() takes them.
  int backlog = 128;
  /// A client that has not shown in this time that it knows the key is dropped; others are served meanwhile.
  Duration handshake_timeout = std::chrono::seconds{10};
  /// Refuses HMAC-MD5, and with it Python up to 3.11.
  bool require_sha2 = false;
};

/// Waits for connections of other processes, of weft or of CPython, that know a key.
///
/// Semantics:     after Python multiprocessing.connection.Listener; differs: a silent client holds up nobody, and is
///                dropped in time; an authkey that is empty is refused (Python 3.11 takes it for none).
/// Thread-safety: any number of threads and fibers may accept() at once; close() ends them.
/// Blocking:      parks the fiber, or the thread when called outside one; a cancellation point.
/// Errors:        OSError such as "bind to unix:/tmp/x: Address already in use": a path that exists is not replaced.
/// Example:       tests/process/listener_test.cpp
class Listener {
 public:
  /// On a path of its own, in a directory that only this user can enter.
  explicit Listener(ListenerOptions options = {});
  explicit Listener(const ListenerAddress& address, ListenerOptions options = {});
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  /// close().
  ~Listener();

  /// The next client. Throws: AuthenticationError: one that does not know the key, or does not speak the protocol;
  /// accept() may be called again. TimeoutError; OSError, with EBADF when closed. Clients that go away meanwhile are
  /// passed over.
  [[nodiscard]] Connection accept(Deadline deadline = {});

  /// Where clients find it.
  [[nodiscard]] const Address& address() const noexcept;
  /// Where the last client that was accepted came from; nothing before that.
  [[nodiscard]] std::optional<Address> last_accepted() const;

  /// Ends calls of accept(), and removes the path, unless this is a forked child. Closing twice is fine.
  void close() noexcept;
  /// For process::wait(): ready when somebody knocks. -1 when closed.
  [[nodiscard]] int fileno() const noexcept;

 private:
  class State;
  static void check(const ListenerOptions& options);

  std::unique_ptr<State> state_;
};

struct ClientOptions {
  detail::ByName by_name = detail::ByName{};
  /// As the listener's. Nothing: the listener asks for none.
  std::optional<std::string> authkey = {};
  /// For connecting and showing that both know the key.
  Duration timeout = std::chrono::seconds{30};
  bool require_sha2 = false;
};

/// A connection to a Listener, of weft or of CPython.
///
///     weft::process::Client peer{{"127.0.0.1", 6000}, {.authkey = key}};
///     peer.send_bytes("hello");
///
/// Semantics:     after Python multiprocessing.connection.Client(), whose result is a Connection as well.
/// Blocking:      as Connection.
/// Errors:        OSError: nobody listens; AuthenticationError: one of the keys is not the other's, or the peer is no listener; TimeoutError;
///                EndOfStream: the listener was closed.
class Client : public Connection {
 public:
  explicit Client(const ListenerAddress& address, const ClientOptions& options = {});
};

}  // namespace weft::process
