// fork(), _exit() in the child, waitpid(), one after the other: the least that a process can cost. Arguments: --count N.
#include <sys/wait.h>
#include <unistd.h>

#include "common/measure.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 300);
  bench::measure(arguments, count, [&] {
    for (std::uint64_t i = 0; i < count; ++i) {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(0);
      ::waitpid(child, nullptr, 0);
    }
  });
}
