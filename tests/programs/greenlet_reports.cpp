// What the engine says and does when something happens inside of a greenlet.
//
//   greenlet_reports overflow|deadlock|fork thread|fiber
//   greenlet_reports stall

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>

#include <weft/fiber/greenlet.hpp>
#include <weft/weft.hpp>

#include "deeper.hpp"
#include "require.hpp"

using namespace std::chrono_literals;

namespace {

void overflow() {
  weft::Greenlet<int> greedy{{.name = "greedy", .stack_bytes = 65536}, [](int) {
    volatile char first = 0;
    return deeper(&first);
  }};
  greedy.switch_to(0);
}

weft::Lock left{"left"};
weft::Lock right{"right"};

/// Takes both, the second one in a greenlet. Whether it was chosen as the victim.
bool take_both(weft::Lock& first, weft::Lock& second, weft::Barrier& both_hold_one) {
  const std::lock_guard guard{first};
  both_hold_one.wait();
  weft::Greenlet<> greenlet{[&] { const std::lock_guard inner{second}; }};
  try {
    greenlet.switch_to();
  } catch (const weft::DeadlockError&) {
    REQUIRE(greenlet.dead());
    return true;
  }
  return false;
}

void deadlock(bool on_fibers) {
  weft::Barrier both_hold_one{2};
  std::atomic<int> victims{0};
  const auto one = [&] { victims += take_both(left, right, both_hold_one); };
  const auto other = [&] { victims += take_both(right, left, both_hold_one); };
  if (on_fibers) {
    weft::join_all(weft::spawn(one), weft::spawn(other));
  } else {
    std::thread first{one};
    std::thread second{other};
    first.join();
    second.join();
  }
  REQUIRE(victims == 1);
  std::puts("one of them unwound its greenlet");
}

bool in_child = false;

void fork_inside() {
  weft::Greenlet<int> counter{[](weft::Greenlet<int>& self, int number) {
    struct Mark {
      ~Mark() {
        std::puts("unwound");
        std::fflush(stdout);
      }
    } const mark;
    auto up = self.parent();
    for (;;) number = *up.switch_to(number + 1);
  }};
  const int two = *counter.switch_to(1) + *counter.switch_to(0);
  weft::Greenlet<int> forking{[&](weft::Greenlet<int>& self, int number) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    in_child = child == 0;
    if (child > 0) {
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      REQUIRE(status == 0);
    }
    std::printf("%s: %d ", in_child ? "child" : "parent", number);
    // An exception through a greenlet, another greenlet, a wait, and back.
    weft::Greenlet<> failing{[] { throw 7; }};
    try {
      failing.switch_to();
    } catch (const int value) {
      REQUIRE(value == 7);
    }
    weft::sleep_for(1ms);
    REQUIRE(weft::spawn([] { return 42; }).get() == 42);
    number = *self.parent().switch_to(*counter.switch_to(number));
    return number;
  }};
  REQUIRE(two == 3);
  const int four = *forking.switch_to(two);
  const int six = *counter.switch_to(four + 1);
  REQUIRE(*forking.switch_to(six) == 6);
  std::printf("%d ", six);
}

}  // namespace

extern "C" [[gnu::noinline]] void compute_pi() {
  const auto end = std::chrono::steady_clock::now() + 350ms;
  while (std::chrono::steady_clock::now() < end) {
  }
}

int main(int, char** arguments) {
  const std::string what = arguments[1];
  if (what == "stall") {
    weft::Runtime runtime{{.workers = 2}};
    runtime.run([] {
      weft::spawn({.name = "number cruncher"}, [] {
        weft::Greenlet<> greenlet{[] {
          compute_pi();
          weft::yield();
        }};
        greenlet.switch_to();
      }).join();
    });
    return 0;
  }
  const bool on_fibers = std::strcmp(arguments[2], "fiber") == 0;
  if (what == "deadlock") {
    deadlock(on_fibers);
    return 0;
  }
  const auto act = [&] {
    if (what == "overflow") overflow();
    if (what == "fork") fork_inside();
    // What the parent's engine holds is a leak to the child.
    if (in_child) ::_exit(0);
  };
  if (on_fibers) {
    weft::spawn(act).join();
  } else {
    act();
  }
}
