// From a plain thread's spawn to the fiber's begin, on a Runtime of two workers. Arguments: see first_run.hpp.
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>

#include "p10_first_run/first_run.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  weft::Runtime runtime({.workers = 2});
  bench::measure_first_run(arguments,
                           [&runtime](const bench::FirstRunTask& task) { return runtime.spawn(task); });
}
