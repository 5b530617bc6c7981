// Spawns an empty Boost.Fiber fiber and joins it, one after the other, with pooled stacks (its fastest). Arguments:
// --count N.
#include <boost/fiber/all.hpp>

#include "common/measure.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 1'000'000);
  boost::fibers::pooled_fixedsize_stack stacks;
  bench::measure(arguments, count, [&] {
    for (std::uint64_t i = 0; i < count; ++i) boost::fibers::fiber(std::allocator_arg, stacks, [] {}).join();
  });
}
