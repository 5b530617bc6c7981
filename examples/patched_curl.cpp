// patched_curl: libcurl's plain blocking interface on fibers, without a change to libcurl and without its multi
// interface.
//
// The program is linked with libweft-patch.so (CMake: weft::patch before other libraries), which makes the calls
// that libcurl blocks in let other fibers run. So fifty transfers of 100 ms each, on one worker, take little longer
// than one. The server they ask is a small one of the program's own.
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include <curl/curl.h>

#include <weft/base/error.hpp>
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/io/patch.hpp>
#include <weft/net/server_socket.hpp>

namespace {

using namespace std::chrono_literals;

constexpr int kTransfers = 50;

// ---- a server that thinks for a while --------------------------------------------------------------------------------

void answer(weft::Socket peer) {
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos) {
    const std::string more = peer.recv(4096);
    if (more.empty()) return;
    request += more;
  }
  weft::sleep_for(100ms);
  const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
  peer.send_all(text.data(), text.size());
}

void serve(weft::Socket& server) {
  try {
    for (;;) {
      weft::spawn([peer = server.accept()]() mutable { answer(std::move(peer)); });
    }
  } catch (const weft::OSError&) {
    if (server.is_open()) throw;  // else main() has closed it
  }
}

// ---- blocking code, as for any thread --------------------------------------------------------------------------------

std::size_t append(char* data, std::size_t, std::size_t size, void* text) {
  static_cast<std::string*>(text)->append(data, size);
  return size;
}

std::string fetch(const std::string& url) {
  std::string body;
  CURL* curl = curl_easy_init();
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);  // a signal would belong to the thread, not to the fiber
  const CURLcode code = curl_easy_perform(curl);
  curl_easy_cleanup(curl);
  return code == CURLE_OK ? body : curl_easy_strerror(code);
}

}  // namespace

int main() {
  if (!weft::patch::active()) {
    std::cerr << "patched_curl: libweft-patch.so is not in this process\n";
    return 1;
  }
  curl_global_init(CURL_GLOBAL_DEFAULT);
  weft::Socket server = weft::create_server(weft::Address::ipv4("127.0.0.1", 0));
  auto serving = weft::spawn([&] { serve(server); });  // on the default runtime
  const std::string url = "http://127.0.0.1:" + std::to_string(server.local_address().port()) + "/";

  const auto begin = std::chrono::steady_clock::now();
  int greeted = 0;
  weft::Runtime{{.workers = 1}}.run([&] {
    std::vector<weft::Fiber<void>> transfers;
    for (int i = 0; i < kTransfers; ++i) {
      transfers.push_back(weft::spawn([&] {
        if (fetch(url) == "hello") ++greeted;  // one worker: never two fibers at once
      }));
    }
    for (auto& transfer : transfers) transfer.get();
  });
  const auto passed = std::chrono::steady_clock::now() - begin;

  std::cout << greeted << " of " << kTransfers << " transfers of 100 ms on one worker\n"
            << "at the same time: " << (passed < kTransfers * 100ms / 2 ? "yes" : "no") << '\n';
  server.close();
  serving.join();
  curl_global_cleanup();
}
