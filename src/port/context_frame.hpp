#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weft::port {

/// A zeroed frame for a context that has not run, where its stack ends: after its registers are popped, the stack pointer
/// is a multiple of 16, as the ABIs demand before a call. For our own context switches.
template <class Saved>
[[nodiscard]] Saved* fresh_frame(void* top) {
  const auto aligned = reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15};
  auto* saved = reinterpret_cast<Saved*>(aligned - 16 - sizeof(Saved));
  std::memset(static_cast<void*>(saved), 0, sizeof(Saved) + 16);
  return saved;
}

}  // namespace weft::port
