// Parks N fibers on one Event and prints what each costs. Arguments: --count N.
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/event.hpp>

#include "common/measure.hpp"
#include "common/process_memory.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 1'000'000);

  // With one worker a fiber that has counted itself is parked by the time the spawner runs again.
  weft::Runtime runtime({.workers = 1});
  runtime.run([&] {
    weft::Event gate;
    std::uint64_t arrived = 0;
    std::uint64_t left = count;
    weft::Event all_left;

    const auto before = bench::ProcessMemory::of("self");
    const bench::Stopwatch spawning;
    for (std::uint64_t i = 0; i < count; ++i) {
      weft::spawn([&] {
        ++arrived;
        gate.wait();
        if (--left == 0) all_left.set();
      });
    }
    while (arrived != count) weft::yield();
    const double wall = spawning.wall_ns();
    const double cpu = spawning.cpu_ns();
    const auto after = bench::ProcessMemory::of("self", true);

    const bench::Stopwatch releasing;
    gate.set();
    all_left.wait();
    const double release = releasing.wall_ns();

    const auto per = static_cast<double>(count);
    std::printf(
        "bytes_per_fiber=%.0f resident_bytes=%.0f page_table_bytes=%.0f mappings=%lld ns_per_op=%.1f "
        "cpu_ns_per_op=%.1f release_ns=%.1f\n",
        static_cast<double>(after.resident_bytes - before.resident_bytes + after.page_table_bytes -
                            before.page_table_bytes) /
            per,
        static_cast<double>(after.resident_bytes - before.resident_bytes) / per,
        static_cast<double>(after.page_table_bytes - before.page_table_bytes) / per,
        static_cast<long long>(after.mappings), wall / per, cpu / per, release / per);
  });
}
