// How programs with child processes end, or do not get so far.
//
//   process_ends MODE [METHOD]

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <ranges>
#include <set>
#include <streambuf>
#include <string>
#include <thread>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/process/event.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/pool.hpp>
#include <weft/process/process.hpp>
#include <weft/process/process_pool_executor.hpp>
#include <weft/thread/thread.hpp>

#include "require.hpp"

using namespace std::chrono_literals;

namespace {

// What a fork server must not find.
const bool early_thread = [] {
  if (::getenv("WEFT_TEST_EARLY_THREAD")) std::thread{[] { ::pause(); }}.detach();
  return true;
}();

struct Static {
  ~Static() { std::printf("static object destroyed\n"); }
};

void say(const std::string& text) {
  std::fputs((text + '\n').c_str(), stdout);
  std::fflush(stdout);
}

void stay() {
  say("pid " + std::to_string(::getpid()));
  for (;;) ::pause();
}

void compute() {
  say("pid " + std::to_string(::getpid()));
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  volatile long n = 0;
  for (;;) n = n + 1;
}

void speak_later() {
  weft::sleep_for(50ms);
  say("child ends");
}

/// A child with a child of its own.
void breed(weft::StartMethod method) {
  weft::Process child{method, stay};
  child.start();
  stay();
}

weft::StartMethod method = weft::StartMethod::Fork;

int no_main_line() {
  for (const weft::StartMethod each : {weft::StartMethod::Spawn, weft::StartMethod::Forkserver}) {
    try {
      weft::Process{each, stay}.start();
      return 1;
    } catch (const weft::InvalidStateError& error) {
      say(error.what());
    }
  }
  weft::Process child{weft::fork, [] { say("fork needs none"); }};
  child.start();
  child.join();
  return 0;
}

int orphans() {
  weft::Process first{method, breed, method};
  weft::Process second{method, compute};
  weft::Process third{method, stay};
  third.set_daemon(true);
  first.start();
  second.start();
  third.start();
  // One that is forked later, and not by weft, keeps nobody alive.
  if (::fork() == 0) {
    say("other " + std::to_string(::getpid()));
    for (;;) ::pause();
  }
  for (;;) ::pause();
}

int end_of_main() {
  weft::Process{method, speak_later}.start();
  weft::Process daemon{method, stay};
  daemon.set_daemon(true).start();
  weft::Thread{[] {
    weft::sleep_for(10ms);
    weft::Process{method, speak_later}.start();
    say("thread ends");
  }}.start();
  static const Static object;
  say("main returns");
  return 7;
}

/// For a child to say that it is so far.
struct Ready {
  weft::OwnedFd reading, writing;

  Ready() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    reading.reset(ends[0]);
    writing.reset(ends[1]);
  }
  void await() const {
    char byte;
    REQUIRE(::read(reading.get(), &byte, 1) == 1);
  }
};

void stay_and_say_so(const weft::OwnedFd& ready) {
  REQUIRE(::write(ready.get(), "", 1) == 1);
  stay();
}

int stubborn_daemon() {
  const Ready ready;
  weft::Process daemon{weft::fork, [&] {
                         ::signal(SIGTERM, SIG_IGN);
                         stay_and_say_so(ready.writing);
                       }};
  daemon.set_daemon(true).start();
  ready.await();
  return 0;
}

int buffered() {
  std::printf("once ");
  std::FILE* own = ::fdopen(::dup(STDOUT_FILENO), "w");
  std::fputs("twice ", own);
  weft::Process child{method, [] {}};
  child.start();
  child.join();
  std::fclose(own);
  return 0;
}

/// std::cout with a buffer of its own, or one that hides what it holds from everybody until it is told to sync.
int buffered_by_cout(bool hides) {
  class Hiding : public std::streambuf {
    int overflow(int c) override { return text_.push_back(static_cast<char>(c)), c; }
    int sync() override {
      std::fputs(text_.c_str(), stdout);
      text_.clear();
      return 0;
    }
    std::string text_;
  };
  if (!hides) std::ios::sync_with_stdio(false);
  Hiding hiding;
  std::streambuf* const own = hides ? std::cout.rdbuf(&hiding) : nullptr;
  std::cout << "parent ";
  weft::Process child{method, [] { std::cout << "child "; }};
  child.start();
  child.join();
  std::cout << "parent ";
  std::cout.flush();
  if (own) std::cout.rdbuf(own);
  return 0;
}

int statics() {
  static const Static object;
  weft::Process child{weft::fork, [] { say("child"); }};
  child.start();
  child.join();
  say("parent");
  return 0;
}

/// Ends by exit(), with a static object of its own besides the one it has from its parent.
int exit_in_child() {
  static const Static object;
  weft::Process child{weft::fork, [] {
                        static const Static own;
                        say("child");
                        std::exit(3);
                      }};
  child.start();
  child.join();
  say("parent saw " + std::to_string(*child.exitcode()));
  return 0;
}

int first_share() {
  weft::process::Lock lock;
  weft::Process child{weft::fork, [&] { const std::scoped_lock guard{lock}; }};
  child.start();
  child.join();
  return *child.exitcode();
}

int first_pool() {
  weft::ProcessPoolExecutor pool{{.max_workers = 1, .start_method = weft::StartMethod::Fork}};
  try {
    return pool.submit([] { return 0; }).get();
  } catch (const weft::BrokenExecutor& error) {
    return std::string{error.what()}.find("ulimit -f") == std::string::npos ? 96 : EFBIG;
  }
}

/// While main() waits for one daemon at its end, another thread closes its handle of the other one, which ended before.
int closed_while_ending() {
  weft::process::Event is_stubborn;
  weft::Process stubborn{weft::fork, [&] {
                           ::signal(SIGTERM, SIG_IGN);
                           is_stubborn.set();
                           for (;;) ::pause();
                         }};
  static weft::Process gentle{weft::fork, [] {
                                for (;;) ::pause();
                              }};
  stubborn.set_daemon(true).start();
  gentle.set_daemon(true).start();
  weft::Thread closer{[] {
    gentle.join();
    gentle.close();
  }};
  closer.set_daemon(true).start();
  is_stubborn.wait();
  return 0;
}

int early() {
  ::setenv("WEFT_TEST_EARLY_THREAD", "1", 1);
  try {
    weft::Process{weft::forkserver, stay}.start();
  } catch (const weft::InvalidStateError& error) {
    say(error.what());
  }
  return 0;
}

/// No descriptor is left for a child, nor after the attempt fewer than before.
int no_descriptors() {
  weft::process::start_forkserver();
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlimit before = limit;
  for (int most = 3; most < 12; ++most) {
    limit.rlim_cur = static_cast<rlim_t>(most);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    weft::Process child{method, [] {}};
    try {
      child.start();
      child.join();
    } catch (const weft::OSError& error) {
      REQUIRE(error.errno_value() == EMFILE);
      REQUIRE(weft::process::active_children().empty());
      REQUIRE(!child.is_alive());
    }
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  }
  weft::Process child{method, [] {}};
  child.start();
  child.join();
  REQUIRE(child.exitcode() == 0);
  say("fine");
  return 0;
}

int interrupted() {
  Ready ready;
  weft::Process child{method, stay_and_say_so, std::move(ready.writing)};
  child.start();
  ready.await();
  ::signal(SIGINT, SIG_IGN);
  ::kill(0, SIGINT);  // as the terminal does at Ctrl-C
  child.join();
  say("child ended with " + std::to_string(*child.exitcode()));
  weft::Process next{method, [] {}};
  next.start();
  next.join();
  say("another with " + std::to_string(*next.exitcode()));
  return 0;
}

int pid_of_worker() { return ::getpid(); }
void say_worker() { say("worker"); }

/// A pool that nobody destroys, with idle workers, and a child that is waited for.
int kept_pool() {
  static auto& pool = *new weft::process::Pool{{.processes = 2, .initializer = say_worker}};
  std::set<int> pids;
  while (pids.size() < 2) {
    for (const int pid : pool.map([](int) { return pid_of_worker(); }, std::views::iota(0, 10), 1)) pids.insert(pid);
  }
  weft::Process{weft::fork, [] { weft::sleep_for(100ms); }}.start();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "no-main-line") return no_main_line();
  weft::process::main(argc, argv);
  if (argc > 2) method = weft::process::start_method_named(argv[2]);
  if (mode == "orphans") return orphans();
  if (mode == "end-of-main") return end_of_main();
  if (mode == "stubborn-daemon") return stubborn_daemon();
  if (mode == "buffered") return buffered();
  if (mode == "buffered-by-cout" || mode == "hidden-by-cout") return buffered_by_cout(mode == "hidden-by-cout");
  if (mode == "statics") return statics();
  if (mode == "exit-in-child") return exit_in_child();
  if (mode == "first-share") return first_share();
  if (mode == "first-pool") return first_pool();
  if (mode == "closed-while-ending") return closed_while_ending();
  if (mode == "early-thread") return early();
  if (mode == "no-descriptors") return no_descriptors();
  if (mode == "kept-pool") return kept_pool();
  if (mode == "interrupted") {
    ::setpgid(0, 0);
    return interrupted();
  }
  return 2;
}
