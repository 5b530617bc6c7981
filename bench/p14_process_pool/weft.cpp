// --job submit (so many small tasks, then every result), map (so many integers), trip (a task at a time; --from thread or
// fiber, --pause MICROSECONDS before each, after which all sleep). --count, --workers, --repeat.
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/process/main.hpp>
#include <weft/process/pool.hpp>
#include <weft/process/process_pool_executor.hpp>

#include "common/arguments.hpp"
#include "common/measure.hpp"

namespace {

long next(long i) { return i + 1; }

void check(bool right) {
  if (right) return;
  std::fprintf(stderr, "wrong result\n");
  std::exit(1);
}

void measure_submits(const bench::Arguments& arguments, weft::ProcessPoolExecutor& pool, std::uint64_t count) {
  bench::measure(arguments, count, [&] {
    std::vector<weft::Future<long>> results;
    results.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) results.push_back(pool.submit(next, static_cast<long>(i)));
    long sum = 0;
    for (weft::Future<long>& result : results) sum += result.get();
    check(sum == static_cast<long>(count * (count + 1) / 2));
  });
}

void measure_map(const bench::Arguments& arguments, unsigned workers, std::uint64_t count) {
  weft::process::Pool pool{workers};
  std::vector<long> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  bench::measure(arguments, count, [&] {
    const std::vector<long> results = pool.map(next, numbers);
    check(results.size() == count && results.back() == static_cast<long>(count));
  });
}

/// Only the trips count, not the pauses between them.
void measure_trips(const bench::Arguments& arguments, weft::ProcessPoolExecutor& pool, std::uint64_t count) {
  const std::uint64_t pause = arguments.number("pause", 0);
  std::vector<double> trips;
  double cpu = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (pause != 0) weft::sleep_for(std::chrono::microseconds{pause});
    const bench::Stopwatch watch;
    check(pool.submit(next, static_cast<long>(i)).get() == static_cast<long>(i) + 1);
    trips.push_back(watch.wall_ns());
    cpu += watch.cpu_ns();
  }
  std::printf("ns_per_op=%.2f cpu_ns_per_op=%.2f cold_ns_per_op=%.2f operations=%llu\n", bench::median(trips),
              cpu / static_cast<double>(count), trips.front(), static_cast<unsigned long long>(count));
}

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 5000);
  const auto workers = static_cast<unsigned>(arguments.number("workers", 2));
  const std::string job = arguments.text("job", "submit");
  if (job == "map") {
    measure_map(arguments, workers, count);
    return 0;
  }
  weft::ProcessPoolExecutor pool{workers};
  check(pool.submit(next, 1L).get() == 2);
  if (job == "submit") {
    measure_submits(arguments, pool, count);
  } else if (arguments.text("from", "thread") == "thread") {
    measure_trips(arguments, pool, count);
  } else {
    weft::spawn([&] { measure_trips(arguments, pool, count); }).join();
  }
}
