// --on threads|fibers (fibers on as many workers as there are threads otherwise). Arguments: see submit.hpp.
#include <weft/futures/fiber_pool_executor.hpp>
#include <weft/futures/thread_pool_executor.hpp>

#include "p9_submit/submit.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const auto measure = [&](auto& executor) {
    bench::measure_submits(arguments, [&executor](std::uint64_t i) { return executor.submit([i] { return i + 1; }); });
  };
  if (arguments.text("on", "threads") == "threads") {
    weft::ThreadPoolExecutor pool(bench::pool_size(arguments));
    measure(pool);
  } else {
    weft::Runtime runtime({.workers = bench::pool_size(arguments)});
    weft::FiberPoolExecutor pool({.runtime = &runtime});
    measure(pool);
  }
}
