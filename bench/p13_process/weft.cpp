// Starts a child that does nothing and joins it, one after the other. Arguments: --count N, --by fork|forkserver|spawn.
#include <weft/process/process.hpp>

#include "common/measure.hpp"

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 300);
  const weft::StartMethod method = weft::process::start_method_named(arguments.text("by", "fork"));
  if (method == weft::StartMethod::Forkserver) weft::process::start_forkserver();  // as a program would: its start is not measured
  bench::measure(arguments, count, [&] {
    for (std::uint64_t i = 0; i < count; ++i) {
      weft::Process child{method, [] {}};
      child.start();
      child.join();
    }
  });
}
