// Teaches: to wait until a thread is ready, which is later than when it has been started.
//
// start() returns when the thread has begun; what it has to prepare before others may use it is its own affair. So it
// says itself when it is ready, by an Event, and whoever needs it waits for that, for a limited time if he likes.
#include <chrono>
#include <cstdio>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

int main() {
  weft::Event ready{"ready"};
  int table_size = 0;

  weft::Thread server{[&] {
    weft::sleep_for(200ms);  // reads its tables, say
    table_size = 1000;
    ready.set();
    weft::sleep_for(50ms);
    std::printf("server: done\n");
  }};

  server.start();
  std::printf("main: the server has been started, and is %s\n", ready.is_set() ? "ready" : "not ready");
  if (!ready.wait_for(10ms)) std::printf("main: still not, after 10 ms\n");
  ready.wait();
  std::printf("main: the server is ready, with %d entries\n", table_size);
  server.join();
}
