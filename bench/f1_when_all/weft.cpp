// So many tasks on a pool of two threads, and one result of all: --how when_all | wait | get. Arguments: --count, --repeat.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

#include <weft/futures/thread_pool_executor.hpp>
#include <weft/futures/wait.hpp>
#include <weft/futures/when.hpp>

#include "common/arguments.hpp"
#include "common/measure.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 100'000);
  const std::string how = arguments.text("how", "when_all");
  weft::ThreadPoolExecutor pool(2);
  bench::measure(arguments, count, [&] {
    std::vector<weft::Future<std::uint64_t>> futures;
    futures.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) futures.push_back(pool.submit([i] { return i; }));
    std::uint64_t sum = 0;
    if (how == "when_all") {
      const std::vector<std::uint64_t> all = weft::when_all(std::move(futures)).get();
      sum = std::accumulate(all.begin(), all.end(), std::uint64_t{0});
    } else {
      if (how == "wait") (void)weft::wait(futures);
      for (auto& future : futures) sum += future.get();
    }
    if (sum != count * (count - 1) / 2) std::abort();
  });
}
