// From a plain thread's enqueue to the task's begin, on an arena of two workers. Arguments: see first_run.hpp.
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include "p10_first_run/first_run.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  // By default there is one worker less than processors, since the thread that asks is expected to work too.
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, 3);
  tbb::task_arena arena(2, 0);
  bench::measure_first_run(arguments, [&arena](const bench::FirstRunTask& task) {
    arena.enqueue(task);
    return nullptr;
  });
}
