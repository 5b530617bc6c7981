// Two Boost.Fiber fibers yield to each other on one thread. Arguments: --bodies 1|2, --count N (yields of each fiber).
#include <boost/fiber/all.hpp>

#include "common/measure.hpp"
#include "p1_yield/bodies.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 5'000'000);
  const bool one_body = arguments.number("bodies", 1) == 1;
  const auto yield = [] { boost::this_fiber::yield(); };

  bench::measure(arguments, 2 * count, [&] {
    boost::fibers::fiber first([&] { bench::count_up(count, yield); });
    boost::fibers::fiber second([&] {
      if (one_body) {
        bench::count_up(count, yield);
      } else {
        bench::count_down(count, yield);
      }
    });
    first.join();
    second.join();
  });
}
