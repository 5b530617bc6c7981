// A program that ends while requests run.
//
//   http_ending returns|exits-in-a-fiber|exits-in-a-callback

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include <weft/http/request.hpp>
#include <weft/weft.hpp>

#include "require.hpp"
#include "support/eventually.hpp"
#include "support/http_server.hpp"

using namespace std::chrono_literals;

// Asked by LeakSanitizer, which does not know the stacks of fibers that are left behind.
extern "C" int __lsan_is_turned_off() { return 1; }

namespace {

weft::test::HttpServer* server = nullptr;  // outlives main()

/// Destroyed after the client has ended, since it was made before.
struct LastWords {
  ~LastWords() {
    try {
      (void)weft::http::get(server->url("/"));
      std::puts("a late request was answered");
    } catch (const weft::http::ConnectionError& error) {
      std::puts(error.reason().c_str());
    }
  }
} last_words;

void ask_in_vain() {
  try {
    (void)weft::http::get(server->url("/silent"));
    std::puts("a request was answered");
  } catch (const weft::http::ConnectionError& error) {
    if (error.reason() != "the program is ending") std::puts(error.what());
  }
}

}  // namespace

int main(int, char** arguments) {
  const std::string way = arguments[1];
  weft::test::use_no_proxy();
  server = new weft::test::HttpServer{[](const weft::test::HttpRequest& request, weft::Socket& peer) {
    if (request.target == "/silent") {
      (void)peer.recv(1);
      return false;
    }
    peer.send_all(weft::test::http_answer(std::string(5'000'000, 'x')));
    return true;
  }};
  REQUIRE(weft::http::get(server->url("/")).status_code == 200);
  for (int i = 0; i < 3; ++i) {
    std::thread{[] {
      ask_in_vain();
      for (;;) ::pause();
    }}.detach();
  }
  if (way == "returns") {
    REQUIRE(weft::test::eventually([] { return server->requests() == 4; }));
    return 3;
  }
  for (int i = 0; i < 3; ++i) weft::spawn(ask_in_vain);
  REQUIRE(weft::test::eventually([] { return server->requests() == 7; }));
  auto ending = weft::spawn([&] {
    if (way == "exits-in-a-fiber") std::exit(3);
    weft::http::RequestOptions options;
    options.on_body = [](const weft::http::Response&, std::string_view) { std::exit(3); };
    (void)weft::http::get(server->url("/"), std::move(options));
  });
  ending.join();
}
