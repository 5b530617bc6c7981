// Forks while requests run; each child makes requests of its own.
//
//   http_forking thread|fiber CHILDREN

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <weft/http/limits.hpp>
#include <weft/http/request.hpp>
#include <weft/io/blocking.hpp>
#include <weft/weft.hpp>

#include "require.hpp"
#include "support/eventually.hpp"
#include "support/http_server.hpp"

using namespace std::chrono_literals;

bool forked = false;

// Asked by LeakSanitizer: in a forked child it would look for threads that the child has not inherited, and say so.
extern "C" int __lsan_is_turned_off() { return forked ? 1 : 0; }

namespace {

std::atomic<bool> stop{false};

void keep_busy(const std::string& url) {
  while (!stop) REQUIRE(weft::http::get(url, {.timeout = 60s}).text() == "/busy");
}

[[noreturn]] void live_as_child(weft::test::HttpServer& server, bool exits) {
  ::alarm(60);  // a child that hangs ends by a signal
  REQUIRE(weft::http::get(server.url("/child")).text() == "/child");
  std::vector<weft::Fiber<std::string>> fibers;
  for (int i = 0; i < 4; ++i) {
    fibers.push_back(weft::spawn([&] { return weft::http::get(server.url("/fiber")).text(); }));
  }
  for (auto& fiber : fibers) REQUIRE(fiber.get() == "/fiber");
  if (exits) std::exit(0);  // which ends the child's own driver
  ::_exit(0);
}

void await(pid_t child) {
  int status = 0;
  const auto wait = [&] { return ::waitpid(child, &status, 0); };
  REQUIRE(weft::blocking(wait) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  std::fprintf(stderr, "a child ended with status %#x\n", static_cast<unsigned>(status));
  ::_exit(1);
}

pid_t fork_here() {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) forked = true;
  return child;
}

void fork_children(weft::test::HttpServer& server, int count) {
  for (int i = 0; i < count; ++i) {
    const pid_t child = fork_here();
    if (child == 0) live_as_child(server, i % 2 == 1);
    await(child);
  }
}

/// A fork in the middle of a request: the parent goes on with it, the child is told that it cannot.
void fork_inside_a_request(weft::test::HttpServer& server) {
  pid_t child = -1;
  weft::http::RequestOptions options;
  options.on_body = [&](const weft::http::Response&, std::string_view) {
    if (child == -1) child = fork_here();
  };
  try {
    REQUIRE(weft::http::get(server.url("/long"), std::move(options)).status_code == 200);
    REQUIRE(child > 0);
  } catch (const weft::http::ConnectionError& error) {
    REQUIRE(child == 0);
    REQUIRE(std::strstr(error.what(), "before fork()") != nullptr);
    live_as_child(server, false);
  }
  await(child);
}

/// A child does not keep its parent's connections open.
void close_while_a_child_lives(weft::test::HttpServer& server) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  REQUIRE(weft::http::get(server.url("/kept")).text() == "/kept");
  REQUIRE(server.open() > 0);
  const pid_t child = fork_here();
  if (child == 0) {
    ::alarm(60);
    ::close(ends[1]);
    char byte = 0;
    ::_exit(::read(ends[0], &byte, 1) == 0 ? 0 : 1);  // until the parent says so
  }
  weft::http::set_connection_limits({.idle_time = 1ms});
  REQUIRE(weft::test::eventually([&] { return server.open() == 0; }));
  ::close(ends[0]);
  ::close(ends[1]);
  await(child);
}

}  // namespace

int main(int, char** arguments) {
  weft::test::use_no_proxy();
  const std::string large(5'000'000, 'x');
  weft::test::HttpServer server{[&](const weft::test::HttpRequest& request, weft::Socket& peer) {
    peer.send_all(weft::test::http_answer(request.target == "/long" ? large : request.target));
    return true;
  }};
  std::vector<weft::Fiber<void>> busy;
  for (int i = 0; i < 4; ++i) busy.push_back(weft::spawn(keep_busy, server.url("/busy")));
  const int count = std::atoi(arguments[2]);
  const auto all = [&] {
    fork_children(server, count);
    fork_inside_a_request(server);
    stop = true;
    weft::join_all(busy);
    close_while_a_child_lives(server);
  };
  if (std::strcmp(arguments[1], "thread") == 0) {
    all();
  } else {
    weft::spawn({.stack_bytes = 1024 * 1024}, all).get();
  }
  std::puts("all children came to their end");
}
