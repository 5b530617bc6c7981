// echo_server PORT [--workers N]: sends back what it gets, one fiber a connection. Ends on SIGINT or SIGTERM.
//
// This is the server that the benchmarks measure, and it is written as one would write it anyway: a loop that accepts, and
// for each connection a loop that receives and sends. Port 0 lets the kernel pick; the address is printed first.
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include <sys/socket.h>

#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/net/server_socket.hpp>

namespace {

struct Arguments {
  std::uint16_t port = 0;
  unsigned workers = 0;  // one a core
};

template <class Integer>
bool parse(std::string_view text, Integer& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

std::optional<Arguments> parse_arguments(int argc, char** argv) {
  Arguments arguments;
  if (argc != 2 && argc != 4) return std::nullopt;
  if (!parse(argv[1], arguments.port)) return std::nullopt;
  if (argc == 4 && (std::string_view{argv[2]} != "--workers" || !parse(argv[3], arguments.workers))) return std::nullopt;
  return arguments;
}

// An idle connection holds this much of its fiber's stack; longer messages take several turns.
constexpr std::size_t kBufferBytes = 512;

void echo(weft::Socket peer) {
  char buffer[kBufferBytes];
  try {
    while (const std::size_t size = peer.recv_into(buffer, sizeof buffer)) peer.send_all(buffer, size);
  } catch (const weft::OSError&) {
    // The peer broke the connection: nothing left to do for it.
  }
}

void serve(weft::Socket& server) {
  try {
    for (;;) {
      weft::spawn([peer = server.accept()]() mutable { echo(std::move(peer)); });
    }
  } catch (const weft::OSError& error) {
    if (server.is_open()) throw;  // else it was closed by the fiber that waits for the signal
  }
}

// A signal handler may do little, but sending a byte is allowed. At the other end of it a fiber waits.
int signal_fd = -1;
void on_signal(int) { ::send(signal_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL); }

}  // namespace

int main(int argc, char** argv) {
  const std::optional<Arguments> arguments = parse_arguments(argc, argv);
  if (!arguments) {
    std::cerr << "usage: echo_server PORT [--workers N]\n";
    return 2;
  }
  try {
    weft::Socket server = weft::create_server(weft::Address::ipv4("127.0.0.1", arguments->port));
    auto [signalled, signal_sender] = weft::Socket::socketpair();
    signal_fd = signal_sender.fd();
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    std::cout << "listening on " << server.local_address() << std::endl;

    weft::Runtime runtime{{.workers = arguments->workers}};
    runtime.run([&] {
      auto watch = weft::spawn([&] {
        (void)signalled.recv(1);
        server.close();
      });
      serve(server);
      watch.join();
    });
  } catch (const std::exception& error) {
    std::cerr << "echo_server: " << error.what() << '\n';
    return 1;
  }
  // Connections that are still open end with the process.
  std::cout << "stopped" << std::endl;
  std::_Exit(0);
}
