// Teaches: what a thread is given, how it is started and waited for, and what its handle is good for.
//
// join_for() says whether the thread ended and leaves it running when it did not. A handle is only a handle: it can be
// copied, dropped or assigned to while the thread runs on, and the program ends when all threads have. Names are for
// people, numbers for machines; current_thread(), enumerate() and active_count() tell who is there.
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

void cook(const std::string& dish, int portions, int& served) {
  weft::sleep_for(200ms);
  std::printf("%s has cooked %d portions of %s\n", weft::current_thread().name().c_str(), portions, dish.c_str());
  served += portions;
}

}  // namespace

int main() {
  // Arguments are copied into the thread; std::ref shares a variable instead.
  int served = 0;
  weft::Thread cooking{cook, "soup", 4, std::ref(served)};
  std::printf("alive before start: %s\n", cooking.is_alive() ? "yes" : "no");
  cooking.start();
  std::printf("alive after start: %s, threads: %zu\n", cooking.is_alive() ? "yes" : "no", weft::active_count());

  if (!cooking.join_for(20ms)) std::printf("after 20 ms the soup is not ready\n");
  cooking.join();
  std::printf("served: %d, alive: %s\n", served, cooking.is_alive() ? "yes" : "no");

  // Names and numbers. Only threads that are not named by hand are counted.
  weft::Event closing{"closing"};
  weft::Thread waiter{[&] { closing.wait(); }};
  waiter.set_name("waiter").start();
  weft::Thread guest{[&] { closing.wait(); }};
  guest.start();
  std::printf("here are:");
  for (const char* name : {"MainThread", "waiter", "Thread-2"}) {
    for (const weft::Thread& thread : weft::enumerate()) {
      if (thread.name() == name) std::printf(" %s", name);
    }
  }
  std::printf("\nthis is the main thread: %s\n", weft::current_thread() == weft::main_thread() ? "yes" : "no");
  const bool differ = waiter.ident() != guest.ident() && waiter.native_id() != guest.native_id();
  std::printf("numbers differ: %s\n", differ ? "yes" : "no");
  closing.set();
  waiter.join();
  guest.join();

  // The handle is assigned to while its thread runs: that one runs on.
  weft::Event go_on{"go on"};
  weft::Event told{"told"};
  weft::Thread handle{[&] {
    go_on.wait();
    std::printf("the first one is still there\n");
    told.set();
  }};
  handle.start();
  handle = weft::Thread{[] { std::printf("the second one has come\n"); }};
  handle.start();
  handle.join();
  go_on.set();
  told.wait();

  // So does one that never had a handle with a name; it uses nothing of main(), which ends before it.
  std::printf("main returns\n");
  weft::Thread{[] {
    weft::sleep_for(100ms);
    std::printf("one without a handle ends\n");
  }}.start();
}
