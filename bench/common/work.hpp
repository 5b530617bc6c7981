// Work that takes a known time; common/measure/work.go is its twin for Go.
#pragma once

#include <cstdint>

namespace bench {

/// `steps` multiplications and additions, each of which waits for the one before: the processor cannot hurry, and a
/// step takes the same time in C++ and in Go. common/calibrate says how long.
inline std::uint64_t work(std::uint64_t value, std::uint64_t steps) {
  for (; steps != 0; --steps) {
    value = value * 6364136223846793005U + 1442695040888963407U;
    asm volatile("" : "+r"(value));  // the compiler does not merge steps
  }
  return value;
}

}  // namespace bench
