// oneTBB's arena, enqueue of a std::packaged_task: TBB has no futures of its own. Arguments: see submit.hpp.
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <future>
#include <memory>

#include "p9_submit/submit.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const unsigned threads = bench::pool_size(arguments);
  // By default there is one worker less than processors, since the thread that asks is expected to work too.
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads + 1);
  tbb::task_arena arena(static_cast<int>(threads), 0);
  bench::measure_submits(arguments, [&arena](std::uint64_t i) {
    // enqueue() copies what it is given.
    auto task = std::make_shared<std::packaged_task<std::uint64_t()>>([i] { return i + 1; });
    auto result = task->get_future();
    arena.enqueue([task] { (*task)(); });
    return result;
  });
}
