// Starts an empty std::thread and joins it, one after the other. Arguments: --count N.
#include <thread>

#include "common/measure.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 20'000);
  bench::measure(arguments, count, [&] {
    for (std::uint64_t i = 0; i < count; ++i) std::thread([] {}).join();
  });
}
