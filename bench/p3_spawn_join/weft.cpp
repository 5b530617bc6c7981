// Spawns an empty fiber and joins it, one after the other. Arguments: --count N, --workers W (0: one a core).
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>

#include "common/measure.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 1'000'000);
  weft::Runtime runtime({.workers = static_cast<unsigned>(arguments.number("workers", 0))});
  runtime.run([&] {
    bench::measure(arguments, count, [&] {
      for (std::uint64_t i = 0; i < count; ++i) weft::spawn([] {}).join();
    });
  });
}
