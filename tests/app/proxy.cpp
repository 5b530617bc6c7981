#include "app/proxy.hpp"

#include <algorithm>

#include "app/fixture.hpp"
#include "weft/base/error.hpp"
#include "weft/fiber/spawn.hpp"
#include "weft/net/connect.hpp"
#include "weft/net/server_socket.hpp"

namespace weft::app::test {

namespace {

// Whether all came through: false when `most` was reached first.
bool pump(Socket& from, Socket& to, std::size_t most) {
  char buffer[4096];
  try {
    while (most > 0) {
      const std::size_t size = from.recv_into(buffer, std::min(sizeof buffer, most));
      if (size == 0) break;
      to.send_all(buffer, size);
      most -= size;
    }
    if (most == 0) return false;
    to.shutdown(Socket::How::Write);
  } catch (const OSError&) {
    // One end has gone.
  }
  return true;
}

}  // namespace

Proxy::Proxy(int server_port, const Limits& first_connection)
    : server_port_(server_port),
      first_connection_(first_connection),
      listener_(create_server(Address::ipv4("127.0.0.1", 0))),
      accepting_(runtime_.spawn([this] { accept_all(); })) {}

Proxy::~Proxy() {
  accepting_.kill();
  (void)accepting_.join_for(kPatience);
}

void Proxy::accept_all() {
  for (;;) {
    Socket client = listener_.accept();
    const Limits limits = connections_++ == 0 ? first_connection_ : Limits();
    spawn([this, limits, client = std::move(client)]() mutable { carry(client, limits); });
  }
}

void Proxy::carry(Socket& client, const Limits& limits) {
  Socket server = create_connection(Address::ipv4("127.0.0.1", static_cast<std::uint16_t>(server_port_)));
  Fiber<void> up = spawn([&] {
    if (!pump(client, server, limits.from_client)) holding_ = true;
  });
  (void)pump(server, client, limits.from_server);
  client.close();
  server.close();
  up.join();
}

}  // namespace weft::app::test
