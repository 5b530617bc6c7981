#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "weft/fiber/fiber.hpp"
#include "weft/fiber/runtime.hpp"
#include "weft/net/socket.hpp"
#include "weft/sync/event.hpp"

namespace weft::app::test {

/// Stands between client and server, and lets only so much of the first connection through.
class Proxy {
 public:
  struct Limits {
    std::size_t from_server = SIZE_MAX;  // then the connection is cut
    std::size_t from_client = SIZE_MAX;  // then nothing more goes to the server; what it says still comes
  };
  Proxy(int server_port, const Limits& first_connection);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  [[nodiscard]] std::string address() const { return listener_.local_address().to_string(); }
  [[nodiscard]] int connections() const { return connections_; }
  /// Whether the client was stopped by its limit.
  [[nodiscard]] bool is_holding() const { return holding_; }

 private:
  void accept_all();
  void carry(Socket& client, const Limits& limits);

  const int server_port_;
  const Limits first_connection_;
  Runtime runtime_{{.workers = 2, .name = "proxy"}};
  Socket listener_;
  std::atomic<int> connections_{0};
  std::atomic<bool> holding_{false};
  Fiber<void> accepting_;
};

}  // namespace weft::app::test
