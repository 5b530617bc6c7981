// What all programs of p9 do: submit so many small tasks, then take every result. Arguments: --count, --threads, --repeat.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "common/arguments.hpp"
#include "common/measure.hpp"

namespace bench {

/// `submit(i)` gives something whose get() is i + 1.
template <class Submit>
void measure_submits(const Arguments& arguments, Submit submit) {
  const std::uint64_t count = arguments.number("count", 300'000);
  measure(arguments, count, [&] {
    std::vector<decltype(submit(0))> results;
    results.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) results.push_back(submit(i));
    std::uint64_t sum = 0;
    for (auto& result : results) sum += result.get();
    if (sum != count * (count + 1) / 2) {
      std::fprintf(stderr, "wrong sum\n");
      std::exit(1);
    }
  });
}

inline unsigned pool_size(const Arguments& arguments) { return static_cast<unsigned>(arguments.number("threads", 2)); }

}  // namespace bench
