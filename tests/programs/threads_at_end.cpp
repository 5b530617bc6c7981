// How a program with threads ends: one way for each argument.
//
//   threads_at_end WAY
//   threads_at_end fork-storm CHILDREN

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include <weft/weft.hpp>

#include "require.hpp"

using namespace std::chrono_literals;

bool forked = false;

// Asked by LeakSanitizer: in a forked child it would look for threads that the child has not inherited, and say so.
extern "C" int __lsan_is_turned_off() { return forked ? 1 : 0; }

namespace {

void say(const char* text) {
  std::puts(text);
  std::fflush(stdout);
}

/// Goes on after the end of main, long enough for the program to end meanwhile, if it does not wait.
void work() {
  weft::main_thread().join();
  weft::sleep_for(50ms);
}

void work_and_say() {
  work();
  say("thread ends");
}

int returns() {
  weft::Thread{work_and_say}.start();
  say("main returns");
  return 3;
}

int exits() {
  weft::Thread{work_and_say}.start();
  say("main exits");
  std::exit(4);
}

class Worker : public weft::Thread {
  void run() override { work_and_say(); }
};

int subclass() {
  weft::make_thread<Worker>()->start();
  say("main returns");
  return 0;
}

int chain() {
  weft::Thread{[] {
    work();
    say("thread ends");
    weft::Thread{[] {
      work();
      say("its successor ends");
    }}.start();
  }}.start();
  say("main returns");
  return 0;
}

weft::Lock held_by_daemon;

class Daemon : public weft::Thread {
 public:
  weft::Event ready;

 private:
  void run() override {
    const std::lock_guard guard{held_by_daemon};
    ready.set();
    for (;;) weft::sleep_for(1ms);
  }
};

int daemon() {
  static weft::Event ready;
  weft::Thread waiter{[] {
    ready.wait();
    held_by_daemon.lock();
  }};
  waiter.set_daemon(true).start();
  weft::Thread thread{[] {
    const std::lock_guard guard{held_by_daemon};
    ready.set();
    for (;;) weft::sleep_for(1ms);
  }};
  thread.set_daemon(true).start();
  ready.wait();
  say("main returns");
  return 5;
}

int daemon_subclass() {
  static Daemon daemon;
  daemon.set_daemon(true).start();
  daemon.ready.wait();
  say("main returns");
  return 5;
}

struct Tracer {
  const char* text;
  bool armed = false;
  ~Tracer() {
    if (armed) say(text);
  }
};
Tracer global{"global one destroyed"};

int statics() {
  static Tracer local{"local one destroyed", true};
  static weft::Event begun;
  global.armed = true;
  weft::Thread{[] {
    static Tracer later{"later one destroyed", true};
    begun.set();
    work();
    REQUIRE(later.armed && local.armed && global.armed);
    say("thread uses all of them");
  }}.start();
  begun.wait();
  say("main returns");
  return 0;
}

int join_main() {
  weft::Thread{[] {
    weft::main_thread().join();
    REQUIRE(!weft::main_thread().is_alive());
    say("thread has seen the end of main");
  }}.start();
  say("main returns");
  return 0;
}

int quick_exit() {
  weft::Thread{[] { weft::sleep_for(1h); }}.start();
  ::_exit(6);
}

/// main() never returns; another thread ends some time after exit() was called.
int exit_by(void (*call)()) {
  weft::Thread other{[] {
    weft::sleep_for(100ms);
    say("another ends");
  }};
  other.start();
  call();
  for (;;) weft::sleep_for(1h);
}
int exit_in_thread() {
  return exit_by([] { weft::Thread{[] { std::exit(7); }}.start(); });
}
int exit_in_guest() {
  return exit_by([] { std::thread{[] { std::exit(7); }}.detach(); });
}
int exit_in_fiber() {
  return exit_by([] { weft::spawn([] { std::exit(7); }); });
}

int main_thread() {
  weft::Thread thread{[] {
    const weft::Thread main = weft::main_thread();
    REQUIRE(main.native_id() == ::getpid());
    REQUIRE(main.is_alive());
    REQUIRE(main.ident() != 0);
    REQUIRE(!(main == weft::current_thread()));
    std::printf("%s, and its number is the process's\n", main.name().c_str());
  }};
  thread.start();
  thread.join();
  return 0;
}

int uncaught() {
  weft::Thread thread{[] { throw std::runtime_error{"a piano fell"}; }};
  thread.set_name("unlucky").start();
  thread.join();
  say("main goes on");
  return 0;
}

class Doomed : public weft::Thread {
 public:
  weft::Event never;

 private:
  void run() override { never.wait(); }
};

int destroyed() {
  Doomed doomed;
  doomed.set_name("doomed").start();
  return 0;
}

int assigned() {
  Doomed doomed;
  doomed.set_name("doomed").start();
  static_cast<weft::Thread&>(doomed) = weft::Thread{};
  return 0;
}

// ---- fork ----------------------------------------------------------------------------------------------------------

/// Started before the fork, and running meanwhile.
weft::Event end_of_parent;

void live_as_child(const weft::Thread& other, const weft::Thread& caller) {
  forked = true;
  ::alarm(60);
  const weft::Thread self = weft::current_thread();
  REQUIRE(self == weft::main_thread());
  REQUIRE(self.native_id() == ::getpid());
  REQUIRE(self.ident() == weft::get_ident());
  REQUIRE(!self.daemon());
  REQUIRE(weft::active_count() == 1);
  REQUIRE(weft::enumerate().front() == self);
  REQUIRE(caller.ident() != self.ident() || caller.is_alive());
  REQUIRE(!other.is_alive());
  weft::Thread{other}.join();
  weft::Thread{[] {
    work();
    say("its thread ends");
  }}.start();
  REQUIRE(weft::active_count() == 2);
  say("child returns");
}

void wait_for(pid_t child) {
  int status = 0;
  REQUIRE(weft::blocking([&] { return ::waitpid(child, &status, 0); }) == child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    std::fprintf(stderr, "the child ended with status %#x\n", static_cast<unsigned>(status));
    ::_exit(1);
  }
}

/// True in the child, which then comes to its end by returning.
bool fork_once() {
  weft::Thread other{[] { end_of_parent.wait(); }};
  other.start();
  const weft::Thread caller = weft::current_thread();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    live_as_child(other, caller);
    return true;
  }
  wait_for(child);
  end_of_parent.set();
  other.join();
  say("parent ends");
  return false;
}

int fork_in_main() {
  fork_once();
  return 0;
}
int fork_in_thread() {
  weft::Thread thread{[] { fork_once(); }};
  thread.start();
  thread.join();
  return 0;
}
int fork_in_guest() {
  std::thread{[] {
    if (fork_once()) std::exit(0);
  }}.join();
  return 0;
}
int fork_in_fiber() {
  weft::spawn([] {
    if (fork_once()) std::exit(0);
  }).join();
  return 0;
}

int children = 30;

int fork_storm() {
  std::atomic<bool> stop{false};
  std::vector<weft::Thread> makers;
  for (int i = 0; i < 3; ++i) {
    makers.push_back(weft::Thread{[&] {
      while (!stop) {
        weft::Thread thread{[] { weft::current_thread().set_name("short-lived"); }};
        thread.start();
        thread.set_name("renamed");
        (void)weft::enumerate();
        thread.join();
      }
    }}.start());
  }
  for (int i = 0; i < children; ++i) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::alarm(60);
      REQUIRE(weft::active_count() == 1);
      for (weft::Thread& maker : makers) maker.join();
      int value = 0;
      weft::Thread thread{[&] { value = 1; }};
      thread.start();
      thread.join();
      REQUIRE(value == 1);
      ::_exit(0);
    }
    wait_for(child);
  }
  stop = true;
  for (weft::Thread& maker : makers) maker.join();
  say("all children came to their end");
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::map<std::string, int (*)()> modes{
      {"return", returns},
      {"exit", exits},
      {"subclass", subclass},
      {"chain", chain},
      {"daemon", daemon},
      {"daemon-subclass", daemon_subclass},
      {"statics", statics},
      {"join-main", join_main},
      {"_exit", quick_exit},
      {"exit-in-thread", exit_in_thread},
      {"exit-in-guest", exit_in_guest},
      {"exit-in-fiber", exit_in_fiber},
      {"main-thread", main_thread},
      {"uncaught", uncaught},
      {"destroyed", destroyed},
      {"assigned", assigned},
      {"fork", fork_in_main},
      {"fork-in-thread", fork_in_thread},
      {"fork-in-guest", fork_in_guest},
      {"fork-in-fiber", fork_in_fiber},
      {"fork-storm", fork_storm},
  };
  if (count > 2) children = std::atoi(arguments[2]);
  const auto mode = modes.find(count > 1 ? arguments[1] : "");
  return mode == modes.end() ? 2 : mode->second();
}
