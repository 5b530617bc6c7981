// What the two Asio echo servers share: one io_context and one listening socket (SO_REUSEPORT) a worker.
#pragma once

#include <sys/resource.h>
#include <boost/asio.hpp>

#include <deque>
#include <thread>
#include <vector>

#include "common/arguments.hpp"

namespace asio = boost::asio;

namespace bench {

using Tcp = asio::ip::tcp;
inline constexpr std::size_t kBufferBytes =
    512;  // as in examples/echo_server.cpp and every other server here

struct AsioWorker {
  explicit AsioWorker(std::uint16_t port) : acceptor(context) {
    acceptor.open(Tcp::v4());
    acceptor.set_option(Tcp::acceptor::reuse_address(true));
    acceptor.set_option(asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>(true));
    acceptor.bind({asio::ip::address_v4::loopback(), port});
    acceptor.listen();
  }

  asio::io_context context{1};  // the hint: one thread runs it
  Tcp::acceptor acceptor;
};

template <class Start>
void run_asio_workers(int argc, char** argv, const char* usage, Start start) {
  const Arguments arguments(argc, argv);
  const auto port = static_cast<std::uint16_t>(std::stoi(arguments.positional(0, usage)));
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  std::deque<AsioWorker> workers;
  std::vector<std::thread> others;
  for (std::uint64_t i = 0; i < arguments.number("workers", 1); ++i)
    start(workers.emplace_back(port).acceptor);
  for (std::size_t i = 1; i < workers.size(); ++i)
    others.emplace_back([&worker = workers[i]] { worker.context.run(); });
  workers[0].context.run();
}

}  // namespace bench
