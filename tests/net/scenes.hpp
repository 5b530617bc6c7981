// Sockets in situations that tests need: connected, full, or with a call that is bound to wait.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <weft/fiber/this_fiber.hpp>
#include <weft/net/connect.hpp>
#include <weft/net/server_socket.hpp>
#include <weft/net/socket.hpp>

namespace weft::test {

inline Socket listener(const std::string& address = "127.0.0.1:0") { return create_server(Address::parse(address)); }

inline std::pair<Socket, Socket> tcp_pair(const std::string& address = "127.0.0.1:0") {
  Socket server = listener(address);
  Socket client = create_connection(server.local_address());
  return {std::move(client), server.accept(Deadline::after(std::chrono::seconds(10)))};
}

// Sends until nothing more is taken. Only a UNIX socket then stays full: TCP probes the window and may find room.
inline void fill(Socket& socket) {
  const std::string chunk(64 * 1024, 'f');
  while (socket.try_send(chunk)) {
  }
}

// A TCP server whose queue is full: further attempts to connect get no answer.
struct DeafServer {
  Socket server;
  std::vector<Socket> queued;

  explicit DeafServer(const std::string& address = "127.0.0.1:0") {
    const Address at = Address::parse(address);
    server = Socket::open(at.family(), SocketType::Stream);
    server.bind(at);
    server.listen(0);
    for (;;) {
      Socket client = Socket::open(at.family(), SocketType::Stream);
      client.set_blocking(false);
      if (client.connect_ex(server.local_address()) != 0 &&
          !client.wait_writable(Deadline::after(std::chrono::milliseconds(100)))) {
        return;  // and this attempt is given up
      }
      queued.push_back(std::move(client));
    }
  }
};

inline std::string unique_abstract_name() {
  static std::atomic<int> count{0};
  return "weft-net-test-" + std::to_string(::getpid()) + '-' + std::to_string(count.fetch_add(1));
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    fd_ = ::mkostemp(path_.data(), O_CLOEXEC);
    ::unlink(path_.c_str());
    for (std::size_t done = 0; done < content.size();) {
      const ssize_t count = ::write(fd_, content.data() + done, content.size() - done);
      if (count <= 0) std::abort();
      done += static_cast<std::size_t>(count);
    }
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { ::close(fd_); }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  std::string path_ = "/tmp/weft-net-test-XXXXXX";
  int fd_ = -1;
};

// More than any two sockets hold between them.
inline const std::string& long_message() {
  static const std::string message(16u << 20, 'x');
  return message;
}
inline const TemporaryFile& long_file() {
  static const TemporaryFile file{long_message()};
  return file;
}

// A socket, and a call on it that has to wait until the end of time.
struct WaitingScene {
  std::string name;
  Socket socket;
  std::function<void(Socket&, Deadline)> call;
  std::function<void()> keep = {};  // owns what the scene needs beside the socket
};

template <class... Parts>
std::function<void()> keep(Parts... parts) {
  // std::function wants to copy; sockets do not.
  return [owned = std::make_shared<std::tuple<Parts...>>(std::move(parts)...)] {};
}

inline std::vector<WaitingScene> waiting_scenes() {
  std::vector<WaitingScene> scenes;
  const auto add = [&](std::string name, Socket socket, auto call, std::function<void()> kept = {}) {
    scenes.push_back({std::move(name), std::move(socket), std::move(call), std::move(kept)});
  };
  const auto on_quiet_pair = [&](std::string name, auto call) {
    auto [mine, theirs] = tcp_pair();
    add(std::move(name), std::move(mine), std::move(call), keep(std::move(theirs)));
  };
  const auto on_full_pair = [&](std::string name, auto call) {
    auto [mine, theirs] = Socket::socketpair();
    fill(mine);
    add(std::move(name), std::move(mine), std::move(call), keep(std::move(theirs)));
  };
  const auto bound_udp = [] {
    Socket socket = Socket::udp();
    socket.bind(Address::ipv4("127.0.0.1", 0));
    return socket;
  };

  add("accept", listener(), [](Socket& s, Deadline d) { (void)s.accept(d); });
  add("accept unix", create_server(Address::abstract(unique_abstract_name())),
      [](Socket& s, Deadline d) { (void)s.accept(d); });
  on_quiet_pair("recv", [](Socket& s, Deadline d) { (void)s.recv(10, d); });
  on_quiet_pair("recv_into", [](Socket& s, Deadline d) {
    char buffer[10];
    (void)s.recv_into(buffer, sizeof buffer, d);
  });
  on_quiet_pair("recv_exactly", [](Socket& s, Deadline d) { (void)s.recv_exactly(10, d); });
  on_quiet_pair("peek", [](Socket& s, Deadline d) { (void)s.recv(10, d, MSG_PEEK); });
  on_quiet_pair("recvmsg", [](Socket& s, Deadline d) {
    char buffer[10];
    iovec piece{buffer, sizeof buffer};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    (void)s.recvmsg(message, d);
  });
  add("recvfrom", bound_udp(), [](Socket& s, Deadline d) { (void)s.recvfrom(10, d); });
  on_full_pair("send", [](Socket& s, Deadline d) { (void)s.send(std::string_view{"x"}, d); });
  on_full_pair("send_all", [](Socket& s, Deadline d) { s.send_all(std::string_view{"x"}, d); });
  on_quiet_pair("send_all tcp", [](Socket& s, Deadline d) { s.send_all(long_message(), d); });
  on_full_pair("send_parts", [](Socket& s, Deadline d) {
    const std::string_view parts[] = {"x", "y"};
    s.send_parts(parts, d);
  });
  on_full_pair("sendfile", [file = std::make_shared<TemporaryFile>("content")](Socket& s, Deadline d) {
    (void)s.sendfile(file->fd(), 0, 7, d);
  });
  on_quiet_pair("sendfile tcp", [](Socket& s, Deadline d) {
    (void)s.sendfile(long_file().fd(), 0, long_message().size(), d);
  });
  on_full_pair("sendmsg", [](Socket& s, Deadline d) {
    iovec piece{const_cast<char*>("x"), 1};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    (void)s.sendmsg(message, d);
  });
  {
    auto deaf = std::make_shared<DeafServer>();
    const Address address = deaf->server.local_address();
    add("connect", Socket::tcp(), [address](Socket& s, Deadline d) { s.connect(address, d); }, [deaf] {});
  }
  {
    Socket server = Socket::open(Family::Unix, SocketType::Stream);
    const Address address = Address::abstract(unique_abstract_name());
    server.bind(address);
    server.listen(0);
    Socket first = create_connection(address);
    add("connect unix", Socket::open(Family::Unix, SocketType::Stream),
        [address](Socket& s, Deadline d) { s.connect(address, d); }, keep(std::move(server), std::move(first)));
  }
  {
    Socket receiver = Socket::open(Family::Unix, SocketType::Datagram);
    const Address address = Address::abstract(unique_abstract_name());
    receiver.bind(address);
    Socket sender = Socket::open(Family::Unix, SocketType::Datagram);
    sender.set_blocking(false);
    try {
      for (;;) (void)sender.sendto("x", address);
    } catch (const WouldBlock&) {
      sender.set_blocking(true);
    }
    add("sendto unix", std::move(sender), [address](Socket& s, Deadline d) { (void)s.sendto("x", address, d); },
        keep(std::move(receiver)));
  }
  return scenes;
}

}  // namespace weft::test
