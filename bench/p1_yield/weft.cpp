// Two fibers yield to each other on one worker. Arguments: --bodies 1|2, --count N (yields of each fiber).
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>

#include "common/measure.hpp"
#include "p1_yield/bodies.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 5'000'000);
  const bool one_body = arguments.number("bodies", 1) == 1;
  const auto yield = [] { weft::yield(); };

  weft::Runtime runtime({.workers = 1});
  runtime.run([&] {
    bench::measure(arguments, 2 * count, [&] {
      auto first = weft::spawn([&] { bench::count_up(count, yield); });
      auto second = one_body ? weft::spawn([&] { bench::count_up(count, yield); })
                             : weft::spawn([&] { bench::count_down(count, yield); });
      first.join();
      second.join();
    });
  });
}
