// sticky_packets: why a stream needs frames.
//
// TCP carries bytes, not messages. Three sends may arrive as one read ("sticky packets"), and one send as many. The cure is to
// say in front of each message how long it is, in a form of fixed size: that is what FrameStream does with pack().
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <utility>

#include <sys/socket.h>

#include <weft/fiber/this_fiber.hpp>
#include <weft/net/connect.hpp>
#include <weft/net/frames.hpp>
#include <weft/net/pack.hpp>
#include <weft/net/server_socket.hpp>

namespace {

using namespace std::chrono_literals;

std::pair<weft::Socket, weft::Socket> connected_pair() {
  weft::Socket server = weft::create_server(weft::Address::parse("127.0.0.1:0"));
  weft::Socket client = weft::create_connection(server.local_address());
  return {std::move(client), server.accept()};
}

// As if the receiver had been busy with something else for a while.
void wait_until_all_came(weft::Socket& receiver, std::size_t bytes) {
  while (receiver.recv(1024, {}, MSG_PEEK).size() < bytes) weft::sleep_for(1ms);
}

void show_the_trouble() {
  auto [sender, receiver] = connected_pair();
  std::cout << "The trouble: three messages are sent,\n";
  for (const std::string message : {"left", "right", "stop"}) {
    std::cout << "  sent     \"" << message << "\"\n";
    sender.send_all(message);
  }
  wait_until_all_came(receiver, 13);
  std::cout << "and one read brings them all, stuck together:\n";
  std::cout << "  received \"" << receiver.recv(1024) << "\"\n";

  std::cout << "Or a message comes in pieces, because the reader's buffer is small:\n";
  sender.send_all("a longer message");
  sender.shutdown(weft::Socket::How::Write);
  wait_until_all_came(receiver, 16);
  for (std::string piece = receiver.recv(6); !piece.empty(); piece = receiver.recv(6)) {
    std::cout << "  received \"" << piece << "\"\n";
  }
}

void print_bytes(const std::string& bytes) {
  for (const char byte : bytes) std::printf(" %02X", static_cast<unsigned char>(byte));
  std::printf("\n");
}

void show_the_length() {
  std::cout << "The cure: a length of fixed size in front of every message.\n" << std::flush;
  std::printf("  pack(199) is");
  print_bytes(weft::pack(199));
  std::printf("  and in network order");
  print_bytes(weft::pack(199, {.byte_order = weft::ByteOrder::Big}));
  std::printf("  unpack gives %d\n", weft::unpack<int>(weft::pack(199)));
  std::fflush(stdout);
  try {
    (void)weft::pack(199, {.width = 1});
  } catch (const weft::PackError& error) {
    std::cout << "  " << error.what() << '\n';
  }
}

void show_the_cure() {
  auto [sender, receiver] = connected_pair();
  weft::FrameStream out{sender};
  for (const std::string message : {"left", "right", "", "a longer message"}) out.send(message);
  sender.shutdown(weft::Socket::How::Write);

  weft::FrameStream in{receiver, {.buffer_bytes = 8}};  // so small that everything comes in pieces
  while (const auto message = in.recv()) std::cout << "  received \"" << *message << "\"\n";
  std::cout << "  end of stream, between two messages\n";
}

}  // namespace

int main() {
  show_the_trouble();
  show_the_length();
  show_the_cure();
}
