// concurrent_fetch [URL...]: several pages at once, on one thread.
//
// A fiber that waits for a server lets the others run: get() is an ordinary function that returns when the answer is there, and all
// requests are under way together. Whoever cannot be reached is one kind of error, a server that answers "no" another. Without
// arguments the program asks a small server of its own, which makes one of the pages wait until the others have been read.
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <weft/http/request.hpp>
#include <weft/weft.hpp>

namespace {

using namespace std::chrono_literals;

std::string fetch(const std::string& url) {
  std::printf("%s asks for %s\n", weft::current_thread().name().c_str(), url.substr(url.rfind('/')).c_str());
  try {
    const weft::http::Response response = weft::http::get(url, {.timeout = 10s});
    response.raise_for_status();
    return std::to_string(response.content.size()) + " bytes";
  } catch (const weft::http::HTTPStatusError& error) {
    return "the server says " + std::to_string(error.status_code()) + ' ' + error.response().reason;
  } catch (const weft::http::ConnectionError& error) {
    return "not reached: " + error.reason();
  } catch (const weft::TimeoutError&) {
    return "no answer in time";
  }
}

void fetch_all(const std::vector<std::string>& urls) {
  std::vector<weft::Fiber<std::string>> fibers;
  for (const std::string& url : urls) fibers.push_back(weft::spawn(fetch, url));
  for (std::size_t i = 0; i < urls.size(); ++i) std::printf("%s: %s\n", urls[i].c_str(), fibers[i].get().c_str());
}

weft::Event others_are_read;

// Answers one request and closes the connection.
void answer(weft::Socket peer) {
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos) request += peer.recv(1024);
  const bool is_known = request.starts_with("GET /slow ") || request.starts_with("GET /quick ");
  if (request.starts_with("GET /slow ")) others_are_read.wait();
  const std::string body = is_known ? "hello from a fiber" : "";
  peer.send_all((is_known ? "HTTP/1.1 200 OK" : "HTTP/1.1 404 Not Found") +
                ("\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body));
}

void fetch_from_own_server() {
  weft::Socket listener = weft::create_server("127.0.0.1", 0);
  const std::string at = "http://" + listener.local_address().to_string();
  const std::string nobody = "http://" + weft::create_server("127.0.0.1", 0).local_address().to_string();  // closed at once
  auto serving = weft::spawn([&] {
    for (int i = 0; i < 3; ++i) weft::spawn(answer, listener.accept());
  });

  auto slow = weft::spawn(fetch, at + "/slow");
  auto quick = weft::spawn(fetch, at + "/quick");
  auto missing = weft::spawn(fetch, at + "/missing");
  auto unreachable = weft::spawn(fetch, nobody + "/unreachable");
  std::printf("/quick: %s\n", quick.get().c_str());
  std::printf("/missing: %s\n", missing.get().c_str());
  std::printf("/unreachable: %s\n", unreachable.get().c_str());
  std::printf("/slow: %s\n", slow.done() ? "done already?" : "not there yet, and nobody minds");
  others_are_read.set();
  std::printf("/slow: %s\n", slow.get().c_str());
  serving.join();
}

}  // namespace

int main(int argc, char** argv) {
  weft::Runtime runtime{{.workers = 1}};
  runtime.run([&] {
    if (argc > 1) {
      fetch_all({argv + 1, argv + argc});
    } else {
      fetch_from_own_server();
    }
  });
}
