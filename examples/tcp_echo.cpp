// tcp_echo: a TCP server that sends back what it gets, and a client that talks to it.
//
// The server is a fiber, and so is each of its conversations; the client is main(), a plain thread. Both use the same
// Socket with the same blocking calls: a fiber parks, a thread sleeps. Try also: tests/net/socket_test.cpp.
#include <iostream>
#include <string>

#include <weft/fiber/fiber.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/net/connect.hpp>
#include <weft/net/server_socket.hpp>

namespace {

void echo(weft::Socket peer) {
  for (;;) {
    const std::string bytes = peer.recv(4096);
    if (bytes.empty()) return;  // the peer has said all it had to say
    peer.send_all(bytes);
  }
}

void serve(weft::Socket& server, int conversations) {
  for (int i = 0; i < conversations; ++i) {
    weft::spawn([peer = server.accept()]() mutable { echo(std::move(peer)); });
  }
}

void talk(const weft::Address& server, const std::string& name) {
  weft::Socket socket = weft::create_connection(server);
  for (const std::string text : {"good morning", "and good night"}) {
    socket.send_all(text);
    const std::string answer = socket.recv_exactly(text.size());
    std::cout << name << " sent \"" << text << "\" and got \"" << answer << "\"\n";
  }
  socket.shutdown(weft::Socket::How::Write);
  std::cout << name << " hung up and got " << socket.recv(4096).size() << " bytes more\n";
}

}  // namespace

int main() {
  weft::Socket server = weft::create_server(weft::Address::parse("127.0.0.1:0"));
  const weft::Address address = server.local_address();  // with the port the kernel picked
  auto serving = weft::spawn([&] { serve(server, 2); });

  talk(address, "Ann");
  talk(address, "Bob");

  serving.join();
  std::cout << "done\n";
}
