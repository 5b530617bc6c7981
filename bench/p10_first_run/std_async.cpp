// From std::async to the begin of the thread it starts. Arguments: see first_run.hpp.
#include <future>

#include "p10_first_run/first_run.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  bench::measure_first_run(
      arguments, [](const bench::FirstRunTask& task) { return std::async(std::launch::async, task); });
}
