#include "support/http_server.hpp"

#include <charconv>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/net/server_socket.hpp>

namespace weft::test {

namespace {

constexpr std::string_view kEndOfHead = "\r\n\r\n";

std::size_t content_length(std::string_view head) {
  constexpr std::string_view kName = "\r\nContent-Length: ";
  std::size_t length = 0;
  if (const std::size_t at = head.find(kName); at != std::string_view::npos) {
    const std::string_view number = head.substr(at + kName.size());
    std::from_chars(number.data(), number.data() + number.size(), length);
  }
  return length;
}

/// Nothing: the client has closed the connection.
std::optional<HttpRequest> receive(Socket& peer, std::string& buffer) {
  std::size_t end = 0;
  while ((end = buffer.find(kEndOfHead)) == std::string::npos) {
    const std::string bytes = peer.recv(16384);
    if (bytes.empty()) return std::nullopt;
    buffer += bytes;
  }
  HttpRequest request;
  request.head = buffer.substr(0, end + 2);
  buffer.erase(0, end + kEndOfHead.size());
  const std::size_t length = content_length(request.head);
  while (buffer.size() < length) {
    const std::string bytes = peer.recv(65536);
    if (bytes.empty()) return std::nullopt;
    buffer += bytes;
  }
  request.body = buffer.substr(0, length);
  buffer.erase(0, length);
  const std::size_t space = request.head.find(' ');
  request.method = request.head.substr(0, space);
  request.target = request.head.substr(space + 1, request.head.find(' ', space + 1) - space - 1);
  return request;
}

}  // namespace

bool HttpRequest::has_line(std::string_view line) const {
  return head.find("\r\n" + std::string{line} + "\r\n") != std::string::npos;
}

HttpServer::HttpServer(Script script)
    : script_{std::move(script)}, listener_{create_server(Address::parse("127.0.0.1:0"))}, port_{listener_.local_address().port()} {
  thread_ = std::thread{[this] { runtime_.run([this] { serve(); }); }};
}

HttpServer::~HttpServer() {
  listener_.close();
  thread_.join();
}

std::string HttpServer::url(std::string_view path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + std::string{path};
}

void HttpServer::serve() {
  std::vector<Fiber<void>> peers;
  try {
    for (;;) {
      peers.push_back(spawn([this, peer = listener_.accept()]() mutable { serve_peer(std::move(peer)); }));
    }
  } catch (const OSError&) {
    // Closed: the end.
  }
  for (Fiber<void>& peer : peers) peer.kill();
  join_all(peers);
}

void HttpServer::serve_peer(Socket peer) {
  struct Counted {
    std::atomic<int>& open;
    explicit Counted(std::atomic<int>& count) : open{count} { ++open; }
    ~Counted() { --open; }
  };
  ++connections_;
  const Counted counted{open_};
  std::string buffer;
  try {
    while (const std::optional<HttpRequest> request = receive(peer, buffer)) {
      ++requests_;
      if (!script_(*request, peer)) return;
    }
  } catch (const OSError&) {
    // The client broke the connection, or was reset by the script.
  }
}

void use_no_proxy() {
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) ::unsetenv(name);
}

std::string http_answer(std::string_view body, std::string_view status, std::string_view headers) {
  return "HTTP/1.1 " + std::string{status} + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string{headers} + "\r\n" + std::string{body};
}

}  // namespace weft::test
