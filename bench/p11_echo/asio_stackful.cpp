// Echo server on Boost.Asio with stackful coroutines: blocking style, one stack a connection, as weft's fibers have.
//
//   asio_stackful PORT [--workers N]
#include <boost/asio.hpp>
#include <boost/asio/spawn.hpp>

#include <array>
#include <exception>

#include "p11_echo/asio_listener.hpp"

namespace {

void serve(bench::Tcp::socket socket, asio::yield_context yield) {
  std::array<char, bench::kBufferBytes> buffer;
  boost::system::error_code error;
  for (;;) {
    const std::size_t n = socket.async_read_some(asio::buffer(buffer), yield[error]);
    if (error) return;
    asio::async_write(socket, asio::buffer(buffer, n), yield[error]);
    if (error) return;
  }
}

void accept(bench::Tcp::acceptor& acceptor, asio::yield_context yield) {
  for (;;) {
    boost::system::error_code error;
    bench::Tcp::socket socket(acceptor.get_executor());
    acceptor.async_accept(socket, yield[error]);
    if (error) continue;
    socket.set_option(bench::Tcp::no_delay(true));
    asio::spawn(
        acceptor.get_executor(),
        [socket = std::move(socket)](asio::yield_context inner) mutable { serve(std::move(socket), inner); },
        asio::detached);
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::run_asio_workers(argc, argv, "asio_stackful PORT [--workers N]", [](bench::Tcp::acceptor& acceptor) {
    asio::spawn(
        acceptor.get_executor(), [&acceptor](asio::yield_context yield) { accept(acceptor, yield); },
        asio::detached);
  });
}
