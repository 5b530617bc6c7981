// Two greenlets switch to each other and pass a number. Arguments: --bodies 1|2, --count N (switches out of each).
#include <cstdlib>

#include <weft/fiber/greenlet.hpp>

#include "common/measure.hpp"
#include "p1_yield/bodies.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 5'000'000);
  const bool one_body = arguments.number("bodies", 1) == 1;
  using Greenlet = weft::Greenlet<std::uint64_t>;

  bench::measure(arguments, 2 * count, [&] {
    Greenlet second;
    const auto pass_to = [](Greenlet& other, std::uint64_t& number) { return [&] { number = *other.switch_to(number + 1); }; };
    Greenlet first{[&](std::uint64_t number) {
      bench::count_up(count, pass_to(second, number));
      return number;
    }};
    second = Greenlet{[&](std::uint64_t number) {
      const auto swap = pass_to(first, number);
      if (one_body) {
        bench::count_up(count, swap);
      } else {
        bench::count_down(count, swap);
      }
      return number;
    }};
    if (first.switch_to(0) != 2 * count) std::abort();
  });
}
