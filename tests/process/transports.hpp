// What a Connection may stand on: every test of it runs over each, on threads and on fibers.
#pragma once

#include <unistd.h>

#include <string>
#include <tuple>
#include <utility>

#include <weft/net/server_socket.hpp>
#include <weft/net/socket.hpp>
#include <weft/process/connection.hpp>

#include "net/contexts.hpp"

namespace weft::test {

enum class Transport { Pair, OneWay, SystemPipe, UnixSocket, Tcp };

inline std::string name_of(Transport transport) {
  static constexpr const char* kNames[] = {"Pair", "OneWay", "SystemPipe", "UnixSocket", "Tcp"};
  return kNames[static_cast<int>(transport)];
}

[[nodiscard]] inline bool is_one_way(Transport transport) {
  return transport == Transport::OneWay || transport == Transport::SystemPipe;
}
[[nodiscard]] inline bool carries_descriptors(Transport transport) {
  return transport != Transport::SystemPipe && transport != Transport::Tcp;
}

/// The first sends, the second receives; most can do both.
struct Ends {
  process::Connection out;
  process::Connection in;
};

inline Ends connected_sockets(const Address& address) {
  Socket server = create_server(address);
  Socket client = Socket::open(address.family(), SocketType::Stream);
  client.connect(server.local_address());
  Socket accepted = server.accept();
  return {process::Connection{OwnedFd{client.detach()}}, process::Connection{OwnedFd{accepted.detach()}}};
}

inline Ends ends_of(Transport transport) {
  switch (transport) {
    case Transport::Pair: {
      auto [one, other] = process::pipe();
      return {std::move(one), std::move(other)};
    }
    case Transport::OneWay: {
      auto [in, out] = process::pipe(false);
      return {std::move(out), std::move(in)};
    }
    case Transport::SystemPipe: {
      int fds[2];
      if (::pipe(fds) != 0) throw OSError{errno, "make a pipe"};
      process::Connection in{OwnedFd{fds[0]}};
      return {process::Connection{OwnedFd{fds[1]}}, std::move(in)};
    }
    case Transport::UnixSocket:
      return connected_sockets(Address::abstract("weft-connection-" + std::to_string(::getpid()) + '-' +
                                                 std::to_string(Clock::now().time_since_epoch().count())));
    case Transport::Tcp:
      return connected_sockets(Address::ipv4("127.0.0.1", 0));
  }
  return {};
}

class TransportTest : public testing::TestWithParam<std::tuple<ContextKind, Transport>> {
 protected:
  [[nodiscard]] static ContextKind kind() { return std::get<0>(GetParam()); }
  [[nodiscard]] static bool on_fibers() { return kind() != ContextKind::Thread; }
  [[nodiscard]] static Transport transport() { return std::get<1>(GetParam()); }
  [[nodiscard]] static Ends ends() { return ends_of(transport()); }

  template <class F>
  static void run(F body) {
    if (!on_fibers()) {
      body();
    } else {
      Runtime runtime{{.workers = kind() == ContextKind::OneWorker ? 1u : 2u}};
      runtime.run(std::move(body));
    }
  }
  template <class F>
  [[nodiscard]] static Task start(F body) {
    return Task{kind(), std::move(body)};
  }
};

inline Deadline patiently() {
  return Deadline::after(kPatience);
}

}  // namespace weft::test
