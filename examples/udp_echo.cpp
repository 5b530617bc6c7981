// udp_echo: datagrams there and back.
//
// Datagrams keep their borders but promise nothing else: one may be lost, doubled or late. So the client asks again when no
// answer comes in time. An empty datagram, unlike an empty read from a stream, is a message like others; here it ends
// the server.
#include <chrono>
#include <iostream>
#include <string>

#include <weft/fiber/fiber.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/net/socket.hpp>

namespace {

using namespace std::chrono_literals;

void serve(weft::Socket& server) {
  for (;;) {
    const auto [bytes, sender] = server.recvfrom(2048);
    server.sendto(bytes, sender);
    if (bytes.empty()) return;
  }
}

std::string ask(weft::Socket& socket, const weft::Address& server, const std::string& question) {
  for (;;) {
    socket.sendto(question, server);
    try {
      return socket.recvfrom(2048, weft::Deadline::after(1s)).first;
    } catch (const weft::TimeoutError&) {
      // Lost on the way, there or back.
    }
  }
}

}  // namespace

int main() {
  weft::Socket server = weft::Socket::udp();
  server.bind(weft::Address::parse("127.0.0.1:0"));
  const weft::Address address = server.local_address();
  auto serving = weft::spawn([&] { serve(server); });

  weft::Socket client = weft::Socket::udp();
  for (const std::string question : {"one", "two", "three", ""}) {
    std::cout << "sent \"" << question << "\", got \"" << ask(client, address, question) << "\"\n";
  }

  serving.join();
  std::cout << "done\n";
}
