// The bar for the echo workloads: written by hand against epoll, for this one purpose. Edge-triggered, both directions
// registered once, and a short read taken for "drained", so that a request costs one recv and one send.
//
//   epoll PORT [--workers N]      each worker has its own listening socket (SO_REUSEPORT) and its own epoll
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "common/arguments.hpp"

namespace {

constexpr std::size_t kBufferBytes = 512;

struct Connection {
  int fd;
  std::string unsent;
  bool read_paused = false;
};

int listen_on(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(fd, SOMAXCONN) != 0) {
    std::perror("epoll: bind");
    std::exit(1);
  }
  return fd;
}

class Worker {
 public:
  explicit Worker(std::uint16_t port) : listener_(listen_on(port)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
  }

  void run() {
    std::array<epoll_event, 512> events;
    for (;;) {
      const int n = epoll_wait(epoll_, events.data(), events.size(), -1);
      for (int i = 0; i < n; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        auto* connection = static_cast<Connection*>(event.data.ptr);
        if (connection == nullptr) {
          accept_all();
        } else if (!serve(*connection, event.events)) {
          close(connection->fd);
          delete connection;
        }
      }
    }
  }

 private:
  void accept_all() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int one = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
      event.data.ptr = new Connection{fd, {}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    }
  }

  /// Returns false when the connection is over.
  bool serve(Connection& connection, std::uint32_t events) {
    if ((events & EPOLLOUT) != 0 && !connection.unsent.empty() && !flush(connection)) return false;
    if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) == 0 && !connection.read_paused) return true;
    connection.read_paused = false;
    const bool must_see_the_end = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    for (;;) {
      if (!connection.unsent.empty()) {
        connection.read_paused = true;  // the reader is slower than the writer: wait for EPOLLOUT
        return true;
      }
      const ssize_t n = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
      if (n == 0) return false;
      if (n < 0) return errno == EAGAIN;
      const auto size = static_cast<std::size_t>(n);
      ssize_t sent = send(connection.fd, buffer_.data(), size, MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno != EAGAIN) return false;
        sent = 0;
      }
      if (static_cast<std::size_t>(sent) < size) {
        connection.unsent.assign(buffer_.data() + sent, size - static_cast<std::size_t>(sent));
      }
      if (size < buffer_.size() && !must_see_the_end && connection.unsent.empty()) return true;
    }
  }

  static bool flush(Connection& connection) {
    const ssize_t sent =
        send(connection.fd, connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    connection.unsent.erase(0, static_cast<std::size_t>(sent));
    return true;
  }

  int listener_;
  int epoll_;
  std::array<char, kBufferBytes> buffer_{};
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const auto port =
      static_cast<std::uint16_t>(std::stoi(arguments.positional(0, "epoll PORT [--workers N]")));
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  std::vector<std::thread> others;
  std::vector<Worker> workers;
  for (std::uint64_t i = 0; i < arguments.number("workers", 1); ++i) workers.emplace_back(port);
  for (std::size_t i = 1; i < workers.size(); ++i)
    others.emplace_back([&worker = workers[i]] { worker.run(); });
  workers[0].run();
}
