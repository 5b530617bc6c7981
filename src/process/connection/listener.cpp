#include <weft/process/listener.hpp>

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <list>
#include <mutex>
#include <utility>
#include <vector>

#include <weft/net/resolver.hpp>
#include <weft/net/server_socket.hpp>
#include <weft/net/socket.hpp>
#include <weft/queue/select.hpp>
#include <weft/sync/lock.hpp>

#include "process/connection/handshake.hpp"

namespace weft::process {

using detail::Handshake;

namespace {

// Clients that have come and not yet shown that they know the key. Beyond, the kernel keeps them; and select() must
// hold them all.
constexpr std::size_t kMostPending = 100;
// Without descriptors those who knock stay with the kernel, and the socket stays readable: it is left alone for so long.
constexpr auto kNextLook = std::chrono::milliseconds{10};

struct Nothing {
  void operator()() const noexcept {}
};

struct Pending {
  Connection connection;
  Handshake handshake;
  Deadline until;
  Address from;
};

enum class Progress : std::uint8_t { Waits, Gone, Failed, Done };

// Does what can be done without waiting. What is sent fits into any socket's buffer: nothing else has been.
Progress step(Pending& client, std::string& failure) {
  try {
    while (!client.handshake.done()) {
      const std::string reply =
          client.handshake.take(client.connection.recv_bytes(Deadline::already(), Handshake::kMostBytes));
      if (!reply.empty()) client.connection.send_bytes(reply, Deadline::already());
    }
    failure = client.handshake.failure();
    return failure.empty() ? Progress::Done : Progress::Failed;
  } catch (const TimeoutExpired&) {
    throw;  // the caller's scope
  } catch (const TimeoutError&) {
    return Progress::Waits;
  } catch (const ProtocolError& error) {
    failure = error.what();
    return Progress::Failed;
  } catch (const EndOfStream&) {
    return Progress::Gone;
  } catch (const OSError&) {
    return Progress::Gone;
  }
}

[[gnu::noinline]] std::string private_directory() {
  const char* const base = ::getenv("TMPDIR");
  std::string path = std::string{base && *base ? base : "/tmp"} + "/weft-XXXXXX";
  if (!::mkdtemp(path.data())) throw OSError{errno, "make a directory for a listener", path};
  return path;
}

Socket listening(const Address& address, int backlog) {
  return create_server(address, {.backlog = backlog});
}

}  // namespace

ListenerAddress::ListenerAddress(std::string_view path)
    : address_{path.starts_with('\0') ? Address::abstract(path.substr(1)) : Address::unix_path(path)} {}

ListenerAddress::ListenerAddress(std::string_view host, std::uint16_t port)
    : address_{host.empty() ? Address::ipv4({}, port)
                            : getaddrinfo(host, port, {.family = Family::Ipv4}).front()} {}

class Listener::State {
 public:
  State(const Address& address, ListenerOptions options, std::string directory = {})
      : options_{std::move(options)},
        directory_{std::move(directory)},
        socket_{listening(address, options_.backlog)},
        address_{socket_.local_address()} {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { close(); }

  Connection accept(Deadline deadline) {
    if (!options_.authkey) return accept_anybody(deadline);
    const std::unique_lock<weft::Lock> turn{accepting_, Clock::time_point{Duration{deadline.nanoseconds()}}};
    if (!turn.owns_lock()) fail_timeout();
    for (bool is_last = false, has_knocked = false;;) {
      const bool none_taken = !take_newcomers();
      if (std::optional<Connection> accepted = step_all()) return std::move(*accepted);
      if (is_last) fail_timeout();
      is_last = deadline.has_passed();
      if (!is_last) has_knocked = wait(deadline, has_knocked && none_taken);
    }
  }

  void close() noexcept {
    socket_.close();
    if (closed_.exchange(true) || ::getpid() != maker_) return;
    if (address_.is_unix() && !address_.is_abstract()) ::unlink(address_.path().c_str());
    if (!directory_.empty()) ::rmdir(directory_.c_str());
  }

  [[nodiscard]] const Address& address() const noexcept { return address_; }
  [[nodiscard]] int fileno() const noexcept { return socket_.fd(); }
  [[nodiscard]] std::optional<Address> last_accepted() {
    const std::lock_guard guard{last_lock_};
    return last_accepted_;
  }

 private:
  Connection accept_anybody(Deadline deadline) {
    auto [socket, from] = socket_.accept_with_address(deadline);
    return let_in(Connection{OwnedFd{socket.detach()}}, from);
  }

  Connection let_in(Connection connection, const Address& from) {
    const std::lock_guard guard{last_lock_};
    last_accepted_ = from;
    return connection;
  }

  // False: there was none, or no descriptor for it.
  bool take_newcomers() {
    for (bool any = false;; any = true) {
      std::optional<Socket> socket = pending_.size() < kMostPending ? socket_.try_accept() : std::nullopt;
      if (!socket) return any;
      const Address from = peer_of(*socket);
      pending_.push_back({Connection{OwnedFd{socket->detach()}},
                          Handshake{Handshake::Role::Listener, *options_.authkey, options_.require_sha2},
                          Deadline::after(options_.handshake_timeout), from});
      try {
        pending_.back().connection.send_bytes(pending_.back().handshake.begin(), Deadline::already());
      } catch (const OSError&) {
        pending_.pop_back();  // it has gone already
      }
    }
  }

  static Address peer_of(const Socket& socket) {
    try {
      return socket.peer_address();
    } catch (const OSError&) {  // it has gone already
      return {};
    }
  }

  // Throws: AuthenticationError. One that came in time is not dropped for our being late.
  std::optional<Connection> step_all() {
    for (auto client = pending_.begin(); client != pending_.end();) {
      std::string failure;
      const Progress progress = step(*client, failure);
      if (progress == Progress::Waits && !client->until.has_passed()) {
        ++client;
        continue;
      }
      Pending ended = std::move(*client);
      client = pending_.erase(client);
      if (progress == Progress::Done) return let_in(std::move(ended.connection), ended.from);
      if (progress == Progress::Failed)
        throw AuthenticationError{"accept on " + address_.to_string() + ": " + failure};
    }
    return std::nullopt;
  }

  // Whether it ended because somebody knocks. `in_vain`: the last one could not be taken.
  bool wait(Deadline deadline, bool in_vain) {
    using weft::detail::DescriptorWay;
    using weft::detail::SelectCase;
    std::vector<std::unique_ptr<weft::detail::Selectable>> cases;
    const auto add = [&]<class Way>(auto... what) {
      cases.push_back(std::make_unique<SelectCase<Way, Nothing>>(Nothing{}, what...));
    };
    const bool listens = pending_.size() < kMostPending && !in_vain;
    if (in_vain) deadline = Deadline::earlier(deadline, Deadline::after(kNextLook));
    if (listens) {
      add.operator()<weft::detail::SocketWay>(std::cref(socket_), DescriptorWay::Wanted::Readable);
    }
    for (const Pending& client : pending_) {
      add.operator()<detail::ConnectionWay>(std::cref(client.connection), DescriptorWay::Wanted::Readable);
      deadline = Deadline::earlier(deadline, client.until);
    }
    if (!deadline.is_never()) add.operator()<weft::detail::TimeWay>(deadline);
    std::array<weft::detail::Selectable*, kMostPending + 2> all;
    std::ranges::transform(cases, all.begin(), [](const auto& one) { return one.get(); });
    return weft::detail::select_among(all.data(), cases.size()) == 0 && listens;
  }

  [[noreturn]] void fail_timeout() const {
    throw TimeoutError{"accept on " + address_.to_string() + ": timed out"};
  }

  // Fixed after construction.
  const ListenerOptions options_;
  const std::string directory_;  // made for this listener alone
  Socket socket_;
  const Address address_;
  const pid_t maker_ = ::getpid();
  std::atomic<bool> closed_{false};
  weft::Lock accepting_{"accepting end of a listener"};
  std::list<Pending> pending_;  // guarded by accepting_; in the order in which they came
  weft::Lock last_lock_{"last client of a listener"};
  std::optional<Address> last_accepted_;  // guarded by last_lock_
};

Listener::Listener(ListenerOptions options) {
  check(options);
  std::string directory = private_directory();
  const Address address = Address::unix_path(directory + "/listener");
  try {
    state_ = std::make_unique<State>(address, std::move(options), directory);
  } catch (...) {
    ::rmdir(directory.c_str());
    throw;
  }
}

Listener::Listener(const ListenerAddress& address, ListenerOptions options) {
  check(options);
  state_ = std::make_unique<State>(address.address(), std::move(options));
}

// Before anything is bound.
void Listener::check(const ListenerOptions& options) {
  if (options.authkey) (void)Handshake{Handshake::Role::Listener, *options.authkey, options.require_sha2};
}

Listener::Listener(Listener&& other) noexcept = default;
Listener& Listener::operator=(Listener&& other) noexcept = default;
Listener::~Listener() = default;

Connection Listener::accept(Deadline deadline) {
  return state_->accept(deadline);
}
const Address& Listener::address() const noexcept {
  return state_->address();
}
std::optional<Address> Listener::last_accepted() const {
  return state_->last_accepted();
}
void Listener::close() noexcept {
  if (state_) state_->close();
}
int Listener::fileno() const noexcept {
  return state_ ? state_->fileno() : -1;
}

// ---- the other side

namespace {

Connection connected(const Address& address, Deadline deadline) {
  Socket socket = Socket::open(address.family(), SocketType::Stream);
  socket.connect(address, deadline);
  return Connection{OwnedFd{socket.detach()}};
}

void show_key(Connection& connection, const std::string& key, bool require_sha2, Deadline deadline) {
  Handshake handshake{Handshake::Role::Client, key, require_sha2};
  try {
    while (!handshake.done()) {
      const std::string reply = handshake.take(connection.recv_bytes(deadline, Handshake::kMostBytes));
      if (!reply.empty()) connection.send_bytes(reply, deadline);
    }
  } catch (const ProtocolError& error) {
    throw AuthenticationError{"connect to " + connection.name() + ": the peer does not speak the protocol of a Listener: " + error.what()};
  }
  if (handshake.failure().empty()) return;
  throw AuthenticationError{"connect to " + connection.name() + ": " + handshake.failure()};
}

Connection known(const Address& address, const ClientOptions& options) {
  const Deadline deadline = Deadline::after(options.timeout);
  Connection connection = connected(address, deadline);
  if (options.authkey) show_key(connection, *options.authkey, options.require_sha2, deadline);
  return connection;
}

}  // namespace

Client::Client(const ListenerAddress& address, const ClientOptions& options)
    : Connection{known(address.address(), options)} {}

}  // namespace weft::process
