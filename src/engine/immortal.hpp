#pragma once

namespace weft::detail {

/// A global that exists before any code runs and is never destroyed: threads may still use it while the program ends, and,
/// unlike a local static variable, no child of fork() can find it half made.
template <class T>
union Immortal {
  constexpr Immortal() : value{} {}
  constexpr ~Immortal() {}

  T value;
};

}  // namespace weft::detail
