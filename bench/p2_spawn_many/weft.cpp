// Spawns N empty fibers from inside a fiber and waits for all of them. Arguments: --count N, --workers W (0: one a
// core), --wait count|join (count down to an event, as Go's WaitGroup does, or keep every handle and join_all).
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/sync/event.hpp>

#include <atomic>
#include <vector>

#include "common/measure.hpp"

namespace {

void spawn_and_count_down(std::uint64_t count) {
  weft::Event done;
  std::atomic<std::uint64_t> left{count};
  for (std::uint64_t i = 0; i < count; ++i) {
    weft::spawn([&] {
      if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) done.set();
    });
  }
  done.wait();
}

void spawn_and_join_all(std::uint64_t count) {
  std::vector<weft::Fiber<void>> fibers;
  fibers.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) fibers.push_back(weft::spawn([] {}));
  weft::join_all(fibers);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 1'000'000);
  const std::uint64_t batches = arguments.number("batches", 1);
  const bool keep_handles = arguments.text("wait", "count") == "join";

  weft::Runtime runtime({.workers = static_cast<unsigned>(arguments.number("workers", 0))});
  runtime.run([&] {
    bench::measure(arguments, count * batches, [&] {
      for (std::uint64_t i = 0; i < batches; ++i)
        keep_handles ? spawn_and_join_all(count) : spawn_and_count_down(count);
    });
  });
}
