// Teaches: a server whose connections are served by a fixed number of processes: sockets are arguments of tasks.
//
// A Pool of three processes serves what this one accepts. Each connection keeps its process until the client leaves, so that three
// are served at once; a fourth waits in the pool's line until one of them leaves. The clients are fibers of this program.
#include <chrono>
#include <cstdio>
#include <optional>
#include <set>
#include <string>

#include <unistd.h>

#include <weft/process/main.hpp>
#include <weft/process/pool.hpp>
#include <weft/weft.hpp>

namespace {

using namespace std::chrono_literals;

// In a worker: says who it is, and sends back whatever comes until the client leaves.
void serve(weft::Socket peer) {
  peer.send_all(std::to_string(::getpid()) + '\n');
  for (;;) {
    const std::string text = peer.recv(1024);
    if (text.empty()) return;
    peer.send_all(text);
  }
}

// The pid of the process that serves it; nothing: nobody does, yet.
std::optional<int> served_by(weft::Socket& client, std::chrono::milliseconds patience) {
  std::string line;
  try {
    while (line.empty() || line.back() != '\n') line += client.recv(1, weft::Deadline::after(patience));
  } catch (const weft::TimeoutError&) {
    return std::nullopt;
  }
  return std::stoi(line);
}

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  weft::process::Pool pool{3};
  weft::Socket listener = weft::create_server("127.0.0.1", 0);
  auto accepting = weft::spawn([&] {
    for (;;) (void)pool.apply_async(serve, listener.accept());
  });
  const auto connect = [&] { return weft::create_connection("127.0.0.1", listener.local_address().port()); };

  weft::Socket clients[3] = {connect(), connect(), connect()};
  std::set<int> pids;
  std::optional<int> first;
  for (weft::Socket& client : clients) {
    const std::optional<int> pid = served_by(client, 30s);
    if (!first) first = pid;
    if (pid) pids.insert(*pid);
  }
  std::printf("three clients, %zu processes, this one among them: %s\n", pids.size(), pids.count(::getpid()) != 0 ? "yes" : "no");

  weft::Socket fourth = connect();
  std::printf("the fourth is %s\n", served_by(fourth, 100ms) ? "served" : "waiting");
  clients[0].send_all("goodbye");
  std::printf("the first hears \"%s\" and leaves\n", clients[0].recv_exactly(7).c_str());
  clients[0].close();
  const std::optional<int> pid = served_by(fourth, 30s);
  std::printf("the fourth is served, by the process that served the first: %s\n", pid && pid == first ? "yes" : "no");
  fourth.send_all("echo");
  std::printf("it hears \"%s\"\n", fourth.recv_exactly(4).c_str());

  accepting.kill();
  accepting.join();
}  // the pool ends what its processes do
