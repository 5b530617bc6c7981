// Teaches: one thread that serves hundreds of clients at once, with a fiber for each connection.
//
// The server's code is as if it had only one client: receive a line, answer it, until the client hangs up. It runs in a
// runtime with one worker, on the main thread, so that no two of its fibers ever run at the same time, and the counters
// need no lock. A Pool bounds how many connections are open: when it is full the server does not accept, and
// clients wait in the kernel. The clients are 500 threads with blocking sockets.
#include <algorithm>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include <weft/fiber/pool.hpp>
#include <weft/weft.hpp>

namespace {

constexpr int kClients = 500;
constexpr int kLines = 3;
constexpr std::uint32_t kMostConnections = 100;

struct Tally {
  int connections = 0;
  int lines = 0;
  std::size_t most_at_once = 0;
  std::set<std::string> names;  // of who served: fibers are stood in for by DummyThread-N
  std::set<int> threads;        // on which that ran
};

std::string upper_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; });
  return text;
}

void serve(weft::Socket peer, Tally& tally) {
  weft::FrameStream frames{peer};
  tally.names.insert(weft::current_thread().name());
  while (const std::optional<std::string> line = frames.recv()) {
    tally.threads.insert(weft::get_native_id());
    ++tally.lines;
    frames.send(upper_case(*line));
  }
}

Tally serve_all(weft::Socket& listener) {
  Tally tally;
  weft::Pool pool{kMostConnections};
  for (; tally.connections < kClients; ++tally.connections) {
    pool.wait_available();  // before accepting: who cannot be served yet waits at the door
    pool.spawn([&tally, peer = listener.accept()]() mutable { serve(std::move(peer), tally); });
    tally.most_at_once = std::max(tally.most_at_once, pool.size());
  }
  pool.join();
  return tally;
}

void talk(const weft::Address& server, int number, weft::Semaphore& satisfied) {
  weft::Socket socket = weft::create_connection(server);
  weft::FrameStream frames{socket};
  bool right = true;
  for (int i = 0; i < kLines; ++i) {
    const std::string line = "line " + std::to_string(i) + " of client " + std::to_string(number);
    frames.send(line);
    right = frames.recv() == upper_case(line) && right;
  }
  if (right) satisfied.release();
}

}  // namespace

int main() {
  weft::Socket listener = weft::create_server(weft::Address::parse("127.0.0.1:0"), {.backlog = kClients});
  const weft::Address address = listener.local_address();

  weft::Semaphore satisfied{0};
  std::vector<weft::Thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(
        weft::Thread{[&, i] { talk(address, i, satisfied); }}.set_stack_bytes(256 * 1024).start());
  }

  weft::Runtime one{{.workers = 1}};
  const Tally tally = one.run([&] { return serve_all(listener); });
  for (weft::Thread& client : clients) client.join();

  const bool all_dummies =
      std::ranges::all_of(tally.names, [](auto& name) { return name.starts_with("DummyThread-"); });
  std::printf("connections:           %d\n", tally.connections);
  std::printf("lines answered:        %d\n", tally.lines);
  std::printf("clients satisfied:     %u\n", satisfied.value());
  std::printf("never more at once than %u: %s\n", kMostConnections,
              tally.most_at_once <= kMostConnections ? "yes" : "no");
  std::printf("threads of the server: %zu\n", tally.threads.size());
  std::printf("fibers, each with a name like DummyThread-1: %zu%s\n", tally.names.size(),
              all_dummies ? "" : ", but not all");
}
