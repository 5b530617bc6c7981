// weft::Lock without competition, on a plain thread or on a fiber. Arguments: --count N, --on thread|fiber.
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/lock.hpp>

#include "p6_lock_alone/lock_alone.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const bench::IdleThread idle;
  if (arguments.text("on", "thread") == "thread") {
    bench::measure_lock_alone<weft::Lock>(arguments);
  } else {
    weft::Runtime runtime({.workers = 1});
    runtime.run([&] { bench::measure_lock_alone<weft::Lock>(arguments, [] { weft::yield(); }); });
  }
}
