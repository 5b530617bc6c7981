#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include <weft/fiber/runtime.hpp>
#include <weft/net/socket.hpp>
#include <weft/sync/event.hpp>

namespace weft::test {

/// A request as it came.
struct HttpRequest {
  std::string method;
  std::string target;
  std::string head;  ///< All lines of it, the request line too.
  std::string body;  ///< As long as Content-Length said.

  /// Whether such a line, "Name: value", is in the head.
  [[nodiscard]] bool has_line(std::string_view line) const;
};

/// A server on the loopback interface that does what a test wants, right or wrong: each connection is a fiber of a runtime of the
/// server's own, which reads requests and hands each to the script. The script answers through the socket; it returns whether the
/// connection is kept for another request.
class HttpServer {
 public:
  using Script = std::function<bool(const HttpRequest& request, Socket& peer)>;

  explicit HttpServer(Script script);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  /// Ends all connections.
  ~HttpServer();

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] std::string url(std::string_view path = "/") const;

  [[nodiscard]] int connections() const noexcept { return connections_; }  ///< That were ever accepted.
  [[nodiscard]] int open() const noexcept { return open_; }                ///< That are being served.
  [[nodiscard]] int requests() const noexcept { return requests_; }

 private:
  void serve();
  void serve_peer(Socket peer);

  const Script script_;
  std::atomic<int> connections_{0};
  std::atomic<int> open_{0};
  std::atomic<int> requests_{0};
  Socket listener_;
  std::uint16_t port_ = 0;
  Runtime runtime_{{.workers = 1, .stack_bytes = 1024 * 1024, .name = "weft-server"}};
  std::thread thread_;
};

/// A whole answer. `headers`: lines that end in "\r\n".
[[nodiscard]] std::string http_answer(std::string_view body, std::string_view status = "200 OK", std::string_view headers = "");

/// Takes the proxies of this machine out of the environment.
void use_no_proxy();

}  // namespace weft::test
