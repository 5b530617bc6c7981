#pragma once

#include <cstdint>

namespace weft::test {

/// How often a loop that looks for rare interleavings runs: `usual` times; a tenth of it under a sanitizer, twenty times
/// as often when WEFT_STRESS is set.
[[nodiscard]] int rounds(int usual);
/// Whether WEFT_STRESS is set, as ./test --stress does: long versions are welcome.
[[nodiscard]] bool stressing();

[[nodiscard]] bool under_thread_sanitizer();
[[nodiscard]] bool under_address_sanitizer();

/// Small and fast; each context has its own.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_{seed * 0x9E3779B97F4A7C15u + 1} {}

  /// 0 to bound - 1.
  [[nodiscard]] std::uint32_t below(std::uint32_t bound) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<std::uint32_t>((state_ >> 16) % bound);
  }

 private:
  std::uint64_t state_;
};

}  // namespace weft::test
