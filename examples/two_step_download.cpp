// Teaches: to go on with a result where it comes up, instead of waiting for it.
//
// Downloads run in a pool of threads; add_done_callback() says what is to be done with each when it is there: it is saved to a
// file, in the thread that downloaded it. The main thread waits for nothing but the end. A callback for a future that is done
// already runs at once, in the caller. The pages come from a small server of the program's own.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <weft/http/request.hpp>
#include <weft/weft.hpp>

namespace {

using namespace std::chrono_literals;

weft::Event callbacks_are_there;

void answer(weft::Socket peer) {
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos) request += peer.recv(1024);
  if (!request.starts_with("GET /late ")) callbacks_are_there.wait();
  const std::string body = "the page " + request.substr(4, request.find(' ', 4) - 4) + "\n";
  peer.send_all("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

std::string download(const std::string& url) { return weft::http::get(url, {.timeout = 10s}).content; }

}  // namespace

int main() {
  std::string folder = std::filesystem::temp_directory_path() / "two_step_XXXXXX";
  if (!::mkdtemp(folder.data())) return 1;
  weft::Socket listener = weft::create_server("127.0.0.1", 0);
  auto serving = weft::spawn([&] {
    for (;;) weft::spawn(answer, listener.accept());
  });
  const std::string at = "http://" + listener.local_address().to_string() + '/';

  std::atomic<int> saved_by_workers{0};
  {
    weft::ThreadPoolExecutor pool{{.max_workers = 3, .name = "downloader"}};
    for (const std::string name : {"a", "b", "c", "d"}) {
      pool.submit(download, at + name).add_done_callback([&, name](weft::Future<std::string>& page) {
        std::ofstream{folder + '/' + name} << page.get();
        if (weft::current_thread().name().starts_with("downloader")) ++saved_by_workers;
      });
    }
    callbacks_are_there.set();
    auto late = pool.submit(download, at + "late");
    late.wait();
    late.add_done_callback([](weft::Future<std::string>& page) {
      const bool in_main = weft::current_thread() == weft::main_thread();
      std::printf("%s: %s", in_main ? "in the caller" : "elsewhere", page.get().c_str());
    });
  }
  for (const char* name : {"a", "b", "c", "d"}) {
    std::ifstream file{folder + '/' + name};
    std::printf("%s: %s", name, std::string{std::istreambuf_iterator<char>{file}, {}}.c_str());
  }
  std::printf("saved by the threads that downloaded: %d\n", saved_by_workers.load());
  std::filesystem::remove_all(folder);
  serving.kill();
  serving.join();
}
