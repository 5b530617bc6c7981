// Teaches: which threads keep a program alive.
//
// The program ends when main() has returned and every thread that is no daemon has ended. A daemon is for work that may
// stop anywhere: here a clock that ticks for ever, and holds a lock while it does. Whether a thread is a daemon is said
// before it starts; threads that a daemon makes are daemons as well.
#include <chrono>
#include <cstdio>
#include <mutex>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

weft::Lock clock_face{"clock face"};
weft::Event ticking{"ticking"};

void tick() {
  std::printf("clock: a thread of mine would be a daemon: %s\n", weft::Thread{[] {}}.daemon() ? "yes" : "no");
  const std::lock_guard guard{clock_face};
  ticking.set();
  for (;;) weft::sleep_for(10ms);
}

void save() {
  weft::sleep_for(200ms);
  std::printf("saver: all is saved\n");
}

}  // namespace

int main() {
  weft::Thread clock{tick};
  clock.set_name("clock").set_daemon(true).start();
  ticking.wait();
  try {
    clock.set_daemon(false);
  } catch (const weft::InvalidStateError& error) {
    std::printf("main: %s\n", error.what());
  }

  weft::Thread saver{save};
  saver.set_name("saver").start();
  std::printf("main: returns, while clock and saver run\n");
}
