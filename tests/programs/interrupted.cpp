// Programs that are interrupted while they wait, each in its way: pool | join | completed | fiber | twice | plain | caught
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <weft/fiber/runtime.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/futures/as_completed.hpp>
#include <weft/futures/thread_pool_executor.hpp>
#include <weft/queue/queue.hpp>
#include <weft/sync/event.hpp>
#include <weft/thread/interrupt.hpp>

namespace {

using namespace std::chrono_literals;

void say(const char* text) {
  std::puts(text);
  std::fflush(stdout);
}

// To itself, when the main thread certainly waits, or is about to.
void interrupt_soon(int signal = SIGINT) {
  std::thread{[signal] {
    std::this_thread::sleep_for(30ms);
    ::kill(::getpid(), signal);
  }}.detach();
}

void pool() {
  std::atomic<int> ran{0};
  struct Told {
    std::atomic<int>& ran;
    ~Told() { std::printf("ran %d\n", ran.load()), std::fflush(stdout); }
  } told{ran};
  weft::Event begun;
  weft::Event called_off;
  weft::ThreadPoolExecutor executor{1};
  auto first = executor.submit([&] {
    begun.set();
    called_off.wait();
    ++ran;
  });
  std::vector<weft::Future<void>> others;
  for (int i = 0; i < 10; ++i) others.push_back(executor.submit([&] { ++ran; }));
  others.back().add_done_callback([&](auto&) { called_off.set(); });
  begun.wait();
  interrupt_soon();
  for (auto& other : others) other.get();
  say("not interrupted");
}

void join() {
  weft::Queue<int> queue;
  queue.put(1);
  interrupt_soon();
  queue.join();
}

void completed() {
  weft::ThreadPoolExecutor executor{1};
  weft::Event unwinding;
  struct AtEnd {
    weft::Event& event;
    ~AtEnd() { event.set(); }
  } at_end{unwinding};
  std::vector<weft::Future<void>> futures;
  futures.push_back(executor.submit([&] { unwinding.wait(); }));
  interrupt_soon(SIGTERM);
  for (auto& done : weft::as_completed(futures)) done.get();
}

void on_fiber() {
  weft::Runtime runtime{{.workers = 2}};
  runtime.run([] {
    try {
      const weft::InterruptScope interrupts;
      interrupt_soon();
      weft::Event{}.wait();
    } catch (const weft::KeyboardInterrupt& interrupt) {
      std::printf("signal %d\n", interrupt.signal());
    }
    weft::sleep_for(1ms);  // is no longer interrupted
    say("went on");
  });
}

void caught() {
  for (int round = 0; round < 3; ++round) {
    const weft::InterruptScope interrupts;
    try {
      interrupt_soon();
      weft::Event{}.wait();
    } catch (const std::exception&) {
      say("wrongly a std::exception");
    } catch (const weft::Cancelled&) {
      try {
        weft::sleep_for(1ms);
        say("not again");
      } catch (const weft::KeyboardInterrupt&) {
        say("again");
      }
    }
    if (interrupts.signal() != SIGINT) say("which signal?");
  }
  weft::sleep_for(1ms);
  say("over");
}

}  // namespace

int main(int, char** argv) {
  const std::string which = argv[1];
  if (which == "fiber") return on_fiber(), 0;
  if (which == "caught") return caught(), 0;
  if (which == "too late") {
    return weft::interruptible([] {
      ::raise(SIGINT);
      return 7;
    });
  }
  if (which == "handled") {
    return weft::interruptible([] {
      try {
        interrupt_soon();
        weft::Event{}.wait();
      } catch (const weft::KeyboardInterrupt&) {
      }
      return 7;
    });
  }
  if (which == "value") return weft::interruptible([] { return 7; });
  return weft::interruptible([&] {
    if (which == "pool") pool();
    if (which == "join") join();
    if (which == "completed") completed();
    if (which == "twice") {
      interrupt_soon();
      try {
        weft::Event{}.wait();
      } catch (const weft::Cancelled&) {
        say("first");
        interrupt_soon();
        ::pause();  // not weft's: only the default action ends it
      }
    }
  });
}
