// A connection that breaks while the client is still being told what there is to receive.
#include <gtest/gtest.h>

#include <atomic>

#include "app/fixture.hpp"
#include "weft/fiber/fiber.hpp"
#include "weft/fiber/runtime.hpp"
#include "weft/fiber/spawn.hpp"
#include "weft/net/connect.hpp"
#include "weft/net/server_socket.hpp"

namespace weft::app::test {
namespace {

/// Stands between client and server, and cuts the first connection after so many bytes from the server.
class Proxy {
 public:
  Proxy(int server_port, std::size_t first_connection_bytes)
      : server_port_(server_port),
        first_connection_bytes_(first_connection_bytes),
        listener_(create_server(Address::ipv4("127.0.0.1", 0))),
        accepting_(runtime_.spawn([this] { accept_all(); })) {}
  ~Proxy() {
    accepting_.kill();
    (void)accepting_.join_for(kPatience);
  }

  [[nodiscard]] std::string address() const { return listener_.local_address().to_string(); }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void accept_all() {
    for (;;) {
      const bool is_first = connections_++ == 0;
      spawn([this, is_first, client = listener_.accept()]() mutable { carry(client, is_first); });
    }
  }

  void carry(Socket& client, bool is_first) {
    Socket server = create_connection(Address::ipv4("127.0.0.1", static_cast<std::uint16_t>(server_port_)));
    Fiber<void> up = spawn([&] { pump(client, server, SIZE_MAX); });
    pump(server, client, is_first ? first_connection_bytes_ : SIZE_MAX);
    client.close();
    server.close();
    up.join();
  }

  static void pump(Socket& from, Socket& to, std::size_t most) {
    char buffer[4096];
    try {
      while (most > 0) {
        const std::size_t size = from.recv_into(buffer, std::min(sizeof buffer, most));
        if (size == 0) break;
        to.send_all(buffer, size);
        most -= size;
      }
      to.shutdown(Socket::How::Write);
    } catch (const OSError&) {
      // One end has gone.
    }
  }

  const int server_port_;
  const std::size_t first_connection_bytes_;
  Runtime runtime_{{.workers = 2, .name = "proxy"}};
  Socket listener_;
  std::atomic<int> connections_{0};
  Fiber<void> accepting_;
};

TEST(Get, AsksAgainForAListingThatWasCut) {
  ServerProcess server;
  constexpr int kFiles = 400;
  const std::string tail(200, 'x');
  for (int i = 0; i < kFiles; ++i) write_file(server.file("many/" + std::to_string(i) + tail), std::to_string(i));

  const Proxy proxy(server.port(), 75'000);  // a good part of the listing, and not all of it
  const TempFolder target;
  const Result result = run(weft({"get", proxy.address() + "/many", target.path().string()}));

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_GT(proxy.connections(), 2);
  ASSERT_EQ(files_in(target.path()).size(), static_cast<std::size_t>(kFiles));
  for (int i = 0; i < kFiles; ++i) {
    EXPECT_EQ(read_file(target / ("many/" + std::to_string(i) + tail)), std::to_string(i));
  }
}

}  // namespace
}  // namespace weft::app::test
