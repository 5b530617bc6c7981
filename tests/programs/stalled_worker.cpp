// Fibers that keep their worker for long: reported on standard error, once for each place.
//
//   stalled_worker [quiet]    quiet: after a time in which the whole runtime slept

#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

extern "C" {

[[gnu::noinline]] void compute_pi() {
  const auto end = std::chrono::steady_clock::now() + 350ms;
  while (std::chrono::steady_clock::now() < end) {
  }
}

[[gnu::noinline]] void sleep_like_a_thread() { std::this_thread::sleep_for(350ms); }
}

int main(int count, char** arguments) {
  weft::Runtime runtime{{.workers = 2}};
  runtime.run([] { weft::sleep_for(1ms); });
  if (count > 1 && std::strcmp(arguments[1], "quiet") == 0) std::this_thread::sleep_for(2s);
  runtime.run([] {
    for (int i = 0; i < 3; ++i) {
      auto fiber = weft::spawn({.name = "number cruncher"}, [] {
        compute_pi();
        weft::yield();
      });
      fiber.join();
    }
    weft::spawn({.name = "sleepyhead"}, [] {
      sleep_like_a_thread();
      weft::yield();
    }).join();
    weft::spawn({.name = "well-behaved"}, [] {
      weft::blocking([] { std::this_thread::sleep_for(300ms); });
    }).join();
  });
}
