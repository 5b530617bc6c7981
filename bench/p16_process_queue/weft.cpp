// Numbers through one weft::process::Queue. Arguments: see crowd.hpp; --maxsize (0: unbounded).
#include <weft/process/queue.hpp>

#include "p16_process_queue/crowd.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  weft::process::Queue<std::uint64_t> queue(arguments.number("maxsize", 0));
  bench::measure_crowd(
      arguments, [&queue](std::uint64_t number) { queue.put(number); }, [&queue] { return queue.get(); });
}
