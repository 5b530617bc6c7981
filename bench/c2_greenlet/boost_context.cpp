// The floor: two bare Boost.Context fibers that switch to each other and pass a number by a variable.
// Arguments: --bodies 1|2, --count N (switches out of each fiber).
#include <boost/context/fiber.hpp>
#include <cstdlib>

#include "common/measure.hpp"
#include "p1_yield/bodies.hpp"

namespace ctx = boost::context;

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 5'000'000);
  const bool one_body = arguments.number("bodies", 1) == 1;

  bench::measure(arguments, 2 * count, [&] {
    std::uint64_t passed = 0;
    ctx::fiber first([&](ctx::fiber&& main) {
      ctx::fiber other([&](ctx::fiber&& caller) {
        ctx::fiber peer = std::move(caller);
        const auto swap = [&] {
          ++passed;
          peer = std::move(peer).resume();
        };
        if (one_body) {
          bench::count_up(count, swap);
        } else {
          bench::count_down(count, swap);
        }
        return peer;
      });
      bench::count_up(count, [&] {
        ++passed;
        other = std::move(other).resume();
      });
      return std::move(main);
    });
    std::move(first).resume();
    if (passed < 2 * count - 1) std::abort();
  });
}
