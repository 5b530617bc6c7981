// A fiber that calls itself for ever: the process must die naming it.
//
//   overflowing_fiber WORKERS | segfault

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <weft/weft.hpp>

#include "deeper.hpp"

namespace {

// Volatile, so that the compiler does not see what is wrong with it.
int* volatile nowhere = reinterpret_cast<int*>(std::uintptr_t{8});

}  // namespace

int main(int, char** argv) {
  if (std::strcmp(argv[1], "segfault") == 0) {
    weft::Runtime{{.workers = 2}}.run([] { *nowhere = 1; });
    return 0;
  }
  weft::Runtime runtime{{.workers = static_cast<unsigned>(std::atoi(argv[1]))}};
  runtime.run([] {
    auto fiber = weft::spawn({.name = "greedy", .stack_bytes = 65536}, [] {
      volatile char first = 0;
      return deeper(&first);
    });
    (void)fiber.get();
  });
}
