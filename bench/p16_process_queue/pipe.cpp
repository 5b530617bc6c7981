// Numbers through a bare pipe, a system call each: what cannot be torn, as it is shorter than PIPE_BUF. Arguments: see
// crowd.hpp.
#include <unistd.h>

#include "p16_process_queue/crowd.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  int ends[2];
  if (::pipe(ends) != 0) bench::fail("pipe");
  bench::measure_crowd(
      arguments,
      [&ends](std::uint64_t number) {
        if (::write(ends[1], &number, sizeof number) != sizeof number) bench::fail("write");
      },
      [&ends] {
        std::uint64_t number = 0;
        if (::read(ends[0], &number, sizeof number) != sizeof number) bench::fail("read");
        return number;
      });
}
