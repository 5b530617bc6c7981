// Forks while an engine is running and busy; each child starts an engine of its own and must come to its end.
//
//   forking thread|fiber CHILDREN

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include <weft/weft.hpp>

#include "require.hpp"
#include "support/waits_in.hpp"

using namespace std::chrono_literals;

namespace {

weft::Lock held_by_caller{"held by the caller"};
weft::RLock held_twice_by_caller;
weft::Lock contended;
weft::Event never;
weft::Local<std::uint64_t> own;
weft::RWLock written_by_caller;
weft::Once begun;  // by a fiber that no child has
std::atomic<bool> stop{false};
weft::test::Whereabouts parked_fiber;
weft::test::Whereabouts beginning_fiber;

/// Everything an engine does, while the process forks.
void keep_busy() {
  while (!stop) {
    auto child = weft::spawn([] { weft::yield(); });
    const std::lock_guard guard{contended};
    weft::sleep_for(20us);
    child.join();
    ++*own;
    weft::set_deadlock_hook({});
    if (weft::in_fiber()) weft::blocking([] {});
  }
}

void live_as_child(std::uint64_t id) {
  ::alarm(60);  // a child that hangs ends by a signal
  // The caller's locks are still its own.
  REQUIRE(weft::detail::current_context_id() == id);
  REQUIRE(held_by_caller.owner() == id);
  held_by_caller.unlock();
  REQUIRE(held_by_caller.try_lock());
  held_by_caller.unlock();
  bool is_free = false;
  const auto try_twice_held = [&] {
    is_free = held_twice_by_caller.try_lock();
    if (is_free) held_twice_by_caller.unlock();
  };
  for (int depth = 2; depth > 0; --depth) {
    std::thread{try_twice_held}.join();
    REQUIRE(!is_free);
    held_twice_by_caller.unlock();
  }
  std::thread{try_twice_held}.join();
  REQUIRE(is_free);
  REQUIRE(*own == id);
  written_by_caller.unlock();
  bool ran = false;
  begun.call([&] { ran = true; });
  REQUIRE(ran && begun.done());
  weft::set_deadlock_hook({});
  REQUIRE(!never.wait_for(1ms));
  weft::sleep_for(1ms);
  // A fresh engine.
  weft::Event event;
  auto waiter = weft::spawn([&] {
    event.wait();
    return 40;
  });
  auto sleeper = weft::spawn([] {
    weft::sleep_for(1ms);
    return weft::blocking([] { return 1; });
  });
  auto locker = weft::spawn([] {
    const std::lock_guard guard{held_by_caller};
    return 1;
  });
  weft::spawn([&] { REQUIRE(*own == 0); }).join();
  event.set();
  REQUIRE(waiter.get() + sleeper.get() + locker.get() == 42);
  // Those who wait for it in the parent are not here.
  never.set();
  REQUIRE(never.wait_for(1ms));
  weft::Runtime runtime{{.workers = 2}};
  REQUIRE(runtime.run([] { return weft::spawn([] { return 7; }).get(); }) == 7);
  REQUIRE(weft::Runtime({.workers = 1}).run([] { return 8; }) == 8);
}

void fork_children(int count) {
  for (int i = 0; i < count; ++i) {
    const std::lock_guard guard{held_by_caller};
    const std::uint64_t id = weft::detail::current_context_id();
    const std::lock_guard writing{written_by_caller};
    const std::lock_guard once{held_twice_by_caller};
    const std::lock_guard twice{held_twice_by_caller};
    *own = id;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      live_as_child(id);
      ::_exit(0);
    }
    // The parent's lock is none the worse for what the child did.
    REQUIRE(held_by_caller.owner() == id);
    int status = 0;
    const auto wait = [&] { return ::waitpid(child, &status, 0); };
    REQUIRE(weft::blocking(wait) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      std::fprintf(stderr, "child %d ended with status %#x\n", i, static_cast<unsigned>(status));
      ::_exit(1);
    }
  }
}

}  // namespace

int main(int, char** arguments) {
  std::vector<weft::Fiber<void>> busy;
  for (int i = 0; i < 4; ++i) busy.push_back(weft::spawn(keep_busy));
  auto parked = weft::spawn([] {
    parked_fiber.am_here();
    never.wait();
  });
  auto beginner = weft::spawn([] {
    beginning_fiber.am_here();
    begun.call([] { never.wait(); });
  });
  // The child uses the event, too: nobody may be about to change it when it forks (docs/architecture.md, fork).
  const auto kind = weft::detail::WaitKind::Event;
  while (!parked_fiber.waits_in(kind) || !beginning_fiber.waits_in(kind)) std::this_thread::yield();
  const int count = std::atoi(arguments[2]);
  if (std::strcmp(arguments[1], "thread") == 0) {
    fork_children(count);
  } else {
    weft::spawn(fork_children, count).get();
  }
  stop = true;
  weft::join_all(busy);
  for (auto* waiting : {&parked, &beginner}) {
    waiting->kill();
    waiting->join();
  }
  std::puts("all children came to their end");
}
