#pragma once

inline volatile bool enough = false;

// Not optimized into a loop: each call keeps a buffer that the next one reads.
[[gnu::noinline]] inline int deeper(volatile char* above) {
  volatile char here[512];
  here[0] = static_cast<char>(above[0] + 1);
  return enough ? 0 : deeper(here) + here[0];
}
