// raw_http [HOST [PORT [PATH]]]: an HTTP request written by hand.
//
// HTTP/1.1 is text over TCP: a request line, headers, an empty line. With "Connection: close" the answer ends where the stream
// ends, so no more is needed than to read until then. Without arguments the program asks a small server of its own.
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include <weft/fiber/fiber.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/net/connect.hpp>
#include <weft/net/server_socket.hpp>

namespace {

using namespace std::chrono_literals;

const std::string kEndOfHeaders = "\r\n\r\n";

// Answers one request, whatever it asks for.
void serve_one(weft::Socket& server) {
  weft::Socket peer = server.accept();
  std::string request;
  while (request.find(kEndOfHeaders) == std::string::npos) {
    const std::string bytes = peer.recv(1024);
    if (bytes.empty()) return;
    request += bytes;
  }
  const std::string line = request.substr(0, request.find("\r\n"));
  const std::string body = "You asked: " + line + "\n";
  peer.send_all("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\nConnection: close" + kEndOfHeaders + body);
}

void fetch(const std::string& host, std::uint16_t port, const std::string& path) {
  const weft::Deadline deadline = weft::Deadline::after(10s);  // for the whole exchange
  weft::Socket socket = weft::create_connection(host, port, {.deadline = deadline});
  socket.send_all("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close" + kEndOfHeaders, deadline);

  std::string answer;
  for (std::string bytes = socket.recv(16384, deadline); !bytes.empty(); bytes = socket.recv(16384, deadline)) {
    answer += bytes;
  }
  const std::size_t end_of_headers = answer.find(kEndOfHeaders);
  if (end_of_headers == std::string::npos) throw std::runtime_error{"no HTTP answer"};
  std::cout << "status:  " << answer.substr(0, answer.find("\r\n")) << '\n';
  const std::string body = answer.substr(end_of_headers + kEndOfHeaders.size());
  std::cout << "body:    " << body.size() << " bytes\n" << body;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc > 1) {
      fetch(argv[1], static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 80), argc > 3 ? argv[3] : "/");
      return 0;
    }
    weft::Socket server = weft::create_server("localhost", 0);
    auto serving = weft::spawn([&] { serve_one(server); });
    fetch("localhost", server.local_address().port(), "/greeting?from=weft");
    serving.join();
  } catch (const std::exception& error) {
    std::cerr << "raw_http: " << error.what() << '\n';
    return 1;
  }
}
