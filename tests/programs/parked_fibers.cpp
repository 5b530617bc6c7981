// For tests/engine/gdb_test.sh: parks a few fibers and stops where the debugger looks at them.

#include <weft/weft.hpp>

extern "C" [[gnu::noinline]] void look_here() { asm volatile(""); }

[[gnu::noinline]] void waits_in_a_function_of_its_own(weft::Event& gate) {
  gate.wait();
  asm volatile("");  // no tail call: the frame stays
}

int main() {
  weft::Runtime runtime{{.workers = 1}};
  runtime.run([] {
    weft::Event gate;
    auto waiter = weft::spawn({.name = "the waiter"}, [&] { waits_in_a_function_of_its_own(gate); });
    auto sleeper = weft::spawn({.name = "the sleeper"}, [] { weft::sleep_for(std::chrono::hours{1}); });
    weft::yield();
    look_here();
    gate.set();
    waiter.join();
    sleeper.kill();
    sleeper.join();
  });
}
