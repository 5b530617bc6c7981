// The load of the echo workloads: one thread, epoll, closed loop. Each connection sends a message, waits for its echo,
// checks it, and sends the next.
//
//   client HOST PORT [--connections N] [--bytes 64] [--warmup SECONDS] [--seconds SECONDS] [--server PID]
//   client HOST PORT --idle [--connections N] --server PID
//
// Prints requests per second, latencies, and with --server the server's CPU time per request in the measured window.
// With --idle it opens the connections, has one message echoed on each, lets all rest and prints what the server's
// memory grew by.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "common/arguments.hpp"
#include "common/measure.hpp"
#include "common/process_memory.hpp"

namespace {

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "client: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

/// CPU time of a server process, all threads: the total is exact, the split comes from the kernel's ticks.
struct ServerCpu {
  double total_ns = 0;
  double user_ticks = 0;
  double system_ticks = 0;

  static ServerCpu of(pid_t pid) {
    ServerCpu cpu;
    if (pid == 0) return cpu;
    clockid_t clock;
    if (const int error = clock_getcpuclockid(pid, &clock); error != 0) {
      errno = error;
      fail("CPU clock of the server");
    }
    cpu.total_ns = static_cast<double>(bench::clock_ns(clock));
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(stat, line);
    std::istringstream fields(line.substr(line.rfind(')') + 2));
    std::string skipped;
    for (int i = 0; i < 11; ++i) fields >> skipped;  // state is field 3, utime field 14
    fields >> cpu.user_ticks >> cpu.system_ticks;
    return cpu;
  }
};

/// Latencies in buckets of 1/16 of a power of two: about 6 % wide, constant memory.
class Histogram {
 public:
  void add(std::uint64_t ns) { ++buckets_[index(ns)]; }
  void clear() { buckets_.fill(0); }

  double percentile_us(double share) const {
    std::uint64_t total = 0;
    for (const auto count : buckets_) total += count;
    auto left = static_cast<std::uint64_t>(share * static_cast<double>(total));
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      if (buckets_[i] > left) return static_cast<double>(lower_bound(i)) / 1e3;
      left -= buckets_[i];
    }
    return 0;
  }

 private:
  static std::size_t index(std::uint64_t ns) {
    if (ns < 16) return ns;
    const auto exponent = static_cast<std::size_t>(std::bit_width(ns)) - 5;
    return 16 * exponent + (ns >> exponent);
  }
  static std::uint64_t lower_bound(std::size_t index) {
    if (index < 32) return index;
    const std::size_t exponent = index / 16 - 1;
    return static_cast<std::uint64_t>(16 + index % 16) << exponent;
  }
  std::array<std::uint64_t, 1024> buckets_{};
};

struct Connection {
  int fd = -1;
  std::size_t received = 0;
  std::int64_t sent_at = 0;
};

class Client {
 public:
  Client(const std::string& host, const std::string& port, std::size_t connections, std::size_t bytes)
      : message_(bytes, 'x'), buffer_(bytes) {
    for (std::size_t i = 0; i < bytes; ++i) message_[i] = static_cast<char>('a' + i % 26);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
    if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) fail("address " + host);
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    connections_.resize(connections);
    for (auto& connection : connections_) connect(connection, address);
  }

  /// Sends one message on every connection and returns when each has come back.
  void echo_once() {
    std::size_t waiting = connections_.size();
    for (auto& connection : connections_) send(connection);
    while (waiting != 0) {
      for_each_ready([&](Connection& connection) { waiting -= receive(connection) ? 1 : 0; });
    }
  }

  void start() {
    for (auto& connection : connections_) send(connection);
  }

  /// Keeps every connection busy until `deadline`; returns how many requests were answered.
  std::uint64_t run_until(std::int64_t deadline) {
    std::uint64_t answered = 0;
    std::int64_t now = bench::clock_ns(CLOCK_MONOTONIC);
    while (now < deadline) {
      for_each_ready([&](Connection& connection) {
        if (!receive(connection)) return;
        ++answered;
        now = bench::clock_ns(CLOCK_MONOTONIC);
        latencies.add(static_cast<std::uint64_t>(now - connection.sent_at));
        send(connection, now);
      });
      now = bench::clock_ns(CLOCK_MONOTONIC);
    }
    return answered;
  }

  Histogram latencies;

 private:
  void connect(Connection& connection, const sockaddr_in& address) {
    connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection.fd < 0) fail("socket");
    if (::connect(connection.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      fail("connect");
    const int one = 1;
    setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.ptr = &connection;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) != 0) fail("epoll_ctl");
  }

  void send(Connection& connection, std::int64_t now = bench::clock_ns(CLOCK_MONOTONIC)) {
    connection.received = 0;
    connection.sent_at = now;
    // Nothing is outstanding on this connection, so that the message always fits into the socket's buffer.
    if (::send(connection.fd, message_.data(), message_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(message_.size())) {
      fail("send");
    }
  }

  /// Returns whether the whole echo has arrived.
  bool receive(Connection& connection) {
    const ssize_t n =
        recv(connection.fd, buffer_.data(), message_.size() - connection.received, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return false;
    if (n <= 0) fail("recv (the server ended a connection)");
    const auto size = static_cast<std::size_t>(n);
    if (std::memcmp(buffer_.data(), message_.data() + connection.received, size) != 0) {
      errno = EBADMSG;
      fail("echo differs");
    }
    connection.received += size;
    return connection.received == message_.size();
  }

  template <class Body>
  void for_each_ready(Body&& body) {
    std::array<epoll_event, 512> events;
    constexpr int kStalledMs = 20'000;  // a server that stops answering ends the run instead of hanging it
    const int n = epoll_wait(epoll_, events.data(), events.size(), kStalledMs);
    if (n == 0) {
      errno = ETIMEDOUT;
      fail("no echo for 20 s");
    }
    for (int i = 0; i < n; ++i) body(*static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr));
  }

  std::string message_;
  std::vector<char> buffer_;
  std::vector<Connection> connections_;
  int epoll_ = -1;
};

void measure_idle(Client& client, std::size_t connections, const std::string& server,
                  const bench::ProcessMemory& before) {
  client.echo_once();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const auto after = bench::ProcessMemory::of(server);
  const auto per = static_cast<double>(connections);
  const auto resident = static_cast<double>(after.resident_bytes - before.resident_bytes) / per;
  const auto tables = static_cast<double>(after.page_table_bytes - before.page_table_bytes) / per;
  std::printf("bytes_per_connection=%.0f resident_bytes=%.0f page_table_bytes=%.0f\n", resident + tables,
              resident, tables);
}

void measure_load(Client& client, double warmup, double seconds, pid_t server) {
  client.start();
  std::int64_t begin = bench::clock_ns(CLOCK_MONOTONIC);
  client.run_until(begin + static_cast<std::int64_t>(warmup * 1e9));

  client.latencies.clear();
  const auto server_before = ServerCpu::of(server);
  const bench::Stopwatch watch;
  begin = bench::clock_ns(CLOCK_MONOTONIC);
  const auto answered = client.run_until(begin + static_cast<std::int64_t>(seconds * 1e9));
  const double wall = watch.wall_ns();
  const double client_cpu = watch.cpu_ns();
  const auto server_after = ServerCpu::of(server);

  const auto per = static_cast<double>(std::max<std::uint64_t>(answered, 1));
  const double server_cpu = (server_after.total_ns - server_before.total_ns) / per;
  const double user = server_after.user_ticks - server_before.user_ticks;
  const double system = server_after.system_ticks - server_before.system_ticks;
  const double user_share = user + system > 0 ? user / (user + system) : 0;
  std::printf(
      "ns_per_op=%.1f cpu_ns_per_op=%.1f user_ns=%.1f system_ns=%.1f user_ticks=%.0f system_ticks=%.0f "
      "client_cpu_ns=%.1f requests=%llu requests_per_second=%.0f p50_us=%.1f p99_us=%.1f p999_us=%.1f\n",
      wall / per, server_cpu, server_cpu * user_share, server_cpu * (1 - user_share), user, system,
      client_cpu / per, static_cast<unsigned long long>(answered), per / (wall / 1e9),
      client.latencies.percentile_us(0.5), client.latencies.percentile_us(0.99),
      client.latencies.percentile_us(0.999));
}

}  // namespace

int main(int argc, char** argv) {
  constexpr const char* kUsage =
      "client HOST PORT [--connections N] [--bytes N] [--seconds S] [--server PID] [--idle]";
  const bench::Arguments arguments(argc, argv);
  const auto host = arguments.positional(0, kUsage);
  const auto port = arguments.positional(1, kUsage);
  const std::size_t connections = arguments.number("connections", 64);
  const auto server = arguments.text("server", "0");

  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  if (arguments.has("idle")) {
    // What the server allocates once for all is there before the first measurement.
    { Client(host, port, 1, 64).echo_once(); }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const auto before = bench::ProcessMemory::of(server);
    Client client(host, port, connections, arguments.number("bytes", 64));
    measure_idle(client, connections, server, before);
  } else {
    Client client(host, port, connections, arguments.number("bytes", 64));
    measure_load(client, arguments.real("warmup", 0.5), arguments.real("seconds", 3), std::stoi(server));
  }
}
