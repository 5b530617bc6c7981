// Echo server on Boost.Asio, with completion handlers. One io_context a worker: Asio's fastest arrangement.
//
//   asio PORT [--workers N]
#include <boost/asio.hpp>

#include <array>
#include <memory>
#include <thread>
#include <vector>

#include "p11_echo/asio_listener.hpp"

namespace {

class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(bench::Tcp::socket socket) : socket_(std::move(socket)) {}

  void read() {
    socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](auto error, std::size_t n) {
      if (!error) self->write(n);
    });
  }

 private:
  void write(std::size_t n) {
    asio::async_write(socket_, asio::buffer(buffer_, n),
                      [self = shared_from_this()](auto error, std::size_t) {
                        if (!error) self->read();
                      });
  }

  bench::Tcp::socket socket_;
  std::array<char, bench::kBufferBytes> buffer_;
};

void accept(bench::Tcp::acceptor& acceptor) {
  acceptor.async_accept([&acceptor](auto error, bench::Tcp::socket socket) {
    if (!error) {
      socket.set_option(bench::Tcp::no_delay(true));
      std::make_shared<Session>(std::move(socket))->read();
    }
    accept(acceptor);
  });
}

}  // namespace

int main(int argc, char** argv) {
  bench::run_asio_workers(argc, argv, "asio PORT [--workers N]",
                          [](bench::Tcp::acceptor& acceptor) { accept(acceptor); });
}
