// Teaches: to have many things done by a few threads.
//
// Twelve pages are to be fetched, by four threads at most. submit() gives a Future for each: it waits for the page, and says
// why there is none. What nobody has begun yet can be called off; the end of the executor's scope waits for the rest. The pages
// come from a small server of the program's own, which also counts how many are asked for at once.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <weft/http/request.hpp>
#include <weft/weft.hpp>

namespace {

using namespace std::chrono_literals;

std::atomic<int> at_once{0};
std::atomic<int> most_at_once{0};
weft::Event all_ordered;  // the server lets everybody wait until then

void answer(weft::Socket peer) {
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos) request += peer.recv(1024);
  all_ordered.wait();
  const int now = ++at_once;
  most_at_once = std::max(most_at_once.load(), now);
  weft::sleep_for(20ms);
  --at_once;
  const std::string body = request.substr(4, request.find(' ', 4) - 4);
  const bool is_missing = body == "/7";
  peer.send_all((is_missing ? "HTTP/1.1 404 Not Found" : "HTTP/1.1 200 OK") +
                ("\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body));
}

std::string fetch(const std::string& url) {
  weft::http::Response response = weft::http::get(url, {.timeout = 10s});
  response.raise_for_status();
  return std::move(response.content);
}

}  // namespace

int main() {
  weft::Socket listener = weft::create_server("127.0.0.1", 0);
  auto serving = weft::spawn([&] {
    for (;;) weft::spawn(answer, listener.accept());
  });
  const std::string at = "http://" + listener.local_address().to_string() + '/';

  std::vector<weft::Future<std::string>> pages;
  std::vector<weft::Future<std::string>> unwanted;
  {
    weft::ThreadPoolExecutor pool{{.max_workers = 4, .name = "fetcher"}};
    for (int i = 0; i < 12; ++i) pages.push_back(pool.submit(fetch, at + std::to_string(i)));
    for (int i = 0; i < 3; ++i) unwanted.push_back(pool.submit(fetch, at + "unwanted"));
    for (auto& page : unwanted) std::printf("called off: %s\n", page.cancel() ? "yes" : "no, it runs");
    std::printf("threads: %zu\n", pool.workers());
    all_ordered.set();
  }  // waits
  for (auto& page : pages) {
    try {
      std::printf("%s ", page.result().c_str());
    } catch (const weft::http::HTTPStatusError& error) {
      std::printf("[%d %s] ", error.status_code(), error.response().reason.c_str());
    }
  }
  std::printf("\nat most %d at once\n", most_at_once.load());
  try {
    (void)unwanted[0].get();
  } catch (const weft::CancelledError& error) {
    std::printf("the first unwanted one: %s\n", error.what());
  }
  serving.kill();
  serving.join();
}
