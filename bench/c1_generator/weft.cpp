// The values of a generator, one after the other. Arguments: --depth N (generators that delegate to each other, 1), --count N
// (values).
#include <cstdlib>

#include <weft/fiber/generator.hpp>

#include "common/measure.hpp"

namespace {

weft::Generator<std::uint64_t> numbers(std::uint64_t count, std::uint64_t depth) {
  if (depth > 1) {
    co_yield weft::elements_of(numbers(count, depth - 1));
  } else {
    for (std::uint64_t i = 1; i <= count; ++i) co_yield i;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 20'000'000);
  const std::uint64_t depth = arguments.number("depth", 1);
  bench::measure(arguments, count, [&] {
    std::uint64_t sum = 0;
    for (const std::uint64_t number : numbers(count, depth)) sum += number;
    if (sum != count * (count + 1) / 2) std::abort();
  });
}
