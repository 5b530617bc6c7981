// std::async, a thread for each task. Arguments: see submit.hpp.
#include <future>

#include "p9_submit/submit.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  bench::measure_submits(arguments,
                         [](std::uint64_t i) { return std::async(std::launch::async, [i] { return i + 1; }); });
}
