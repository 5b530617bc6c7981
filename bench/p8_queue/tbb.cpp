// Numbers through tbb::concurrent_bounded_queue. Arguments: see crowd.hpp.
#include <tbb/concurrent_queue.h>

#include "p8_queue/crowd.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  tbb::concurrent_bounded_queue<std::uint64_t> queue;
  queue.set_capacity(bench::kQueueSize);
  bench::Crowd(arguments).measure(
      bench::on_thread, bench::on_thread,
      [&queue] { return [&queue](std::uint64_t number) { queue.push(number); }; },
      [&queue] {
        return [&queue] {
          std::uint64_t number = 0;
          queue.pop(number);
          return number;
        };
      });
}
