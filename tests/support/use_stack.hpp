#pragma once

#include <cstddef>

namespace weft::test {

/// Uses about so many bytes of the stack, to the last page.
[[gnu::noinline]] inline int use_stack(std::size_t bytes) {
  volatile char page[4096];
  page[0] = 1;
  page[4095] = 1;
  if (bytes <= sizeof page) return page[0];
  return use_stack(bytes - sizeof page) + page[4095];
}

}  // namespace weft::test
