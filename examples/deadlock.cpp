// Deadlocks are error messages. Two contexts that take two locks in opposite order wait for each other for ever in most
// programs, and so does one that takes the same lock twice. Here the call that closes the circle throws DeadlockError instead, with
// a line for each: who waits, for what, since when, where in the source, and who holds it. The one that gets it lets go of what
// it has, so that the other goes on. First a thread and a fiber, then one lock twice.
#include <cstdio>
#include <mutex>
#include <string>

#include <weft/fiber/spawn.hpp>
#include <weft/sync/deadlock.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/thread/thread.hpp>

namespace {

weft::Lock savings{"savings"};
weft::Lock checking{"checking"};

void transfer(weft::Lock& from, weft::Lock& to, weft::Event& began, weft::Event& other_began, const char* who) {
  const std::lock_guard outer{from};
  began.set();
  other_began.wait();  // now each has one lock
  try {
    const std::lock_guard inner{to};
    std::printf("%s has both locks\n", who);
  } catch (const weft::DeadlockError& error) {
    std::printf("%s gives way:\n%s\n", who, error.what());
  }
}

}  // namespace

int main() {
  // Reports also go to stderr, unless somebody else takes them.
  weft::set_deadlock_hook([](const std::string&) {});

  std::puts("Two locks in opposite order:");
  weft::Event thread_began;
  weft::Event fiber_began;
  weft::Thread audit{[&] { transfer(savings, checking, thread_began, fiber_began, "the thread"); }};
  audit.set_name("audit").start();
  auto fiber = weft::spawn({.name = "transfer-1"}, [&] { transfer(checking, savings, fiber_began, thread_began, "the fiber"); });
  audit.join();
  fiber.join();

  std::puts("One lock twice:");
  weft::Lock diary{"diary"};
  const std::lock_guard guard{diary};
  try {
    diary.lock();
  } catch (const weft::DeadlockError& error) {
    std::printf("%s\n", error.what());
  }
  std::puts("done");
}
