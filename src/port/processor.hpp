#pragma once

namespace weft::port {

/// Tells the processor that this is a loop that waits: its other hyperthread gets the time.
inline void processor_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

}  // namespace weft::port
