// The two loops that the C++ programs of this workload switch between.
#pragma once

#include <cstdint>

namespace bench {

/// Calls `yield` `count` times, counting up.
template <class Yield>
[[gnu::noinline]] void count_up(std::uint64_t count, Yield yield) {
  for (std::uint64_t i = 0; i < count; ++i) yield();
}

/// The same work in other code: the processor sees two places that switch, and its guess where a switch returns to is
/// wrong more often. It differs from count_up() so that the compiler does not merge the two.
template <class Yield>
[[gnu::noinline]] void count_down(std::uint64_t count, Yield yield) {
  std::uint64_t left = 2 * count;
  while (left != 0) {
    yield();
    left -= 2;
  }
}

}  // namespace bench
