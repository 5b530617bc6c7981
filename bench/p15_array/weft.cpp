// --by memory: a process::Array goes to a worker of a pool, by its descriptor, and comes back; by value: a std::vector is copied into a
// block of shared memory and out of it, both ways. Arguments: see trips.hpp.
#include <weft/process/array.hpp>
#include <weft/process/main.hpp>
#include <weft/process/process_pool_executor.hpp>

#include <vector>

#include "p15_array/trips.hpp"

namespace {

using Array = weft::process::Array<std::byte>;
using Bytes = std::vector<std::byte>;

Array marked_array(Array array) {
  array[array.size() - 1] = std::byte(static_cast<unsigned>(array[0]) + 1);
  return array;
}

Bytes marked_bytes(Bytes value) {
  value.back() = std::byte(static_cast<unsigned>(value.front()) + 1);
  return value;
}

void by_memory(const bench::Arguments& arguments, weft::ProcessPoolExecutor& pool) {
  const Array array{bench::array_size(arguments), weft::process::no_lock};
  unsigned trip = 0;
  bench::measure(arguments, 1, [&] {
    array[0] = std::byte(++trip);
    const Array back = pool.submit(marked_array, array).get();
    bench::check_marks(back[0], back[back.size() - 1], trip);
  });
}

void by_value(const bench::Arguments& arguments, weft::ProcessPoolExecutor& pool) {
  Bytes value(bench::array_size(arguments), std::byte{1});
  unsigned trip = 0;
  bench::measure(arguments, 1, [&] {
    value.front() = std::byte(++trip);
    const Bytes back = pool.submit(marked_bytes, value).get();
    bench::check_marks(back.front(), back.back(), trip);
  });
}

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  const bench::Arguments arguments(argc, argv);
  weft::ProcessPoolExecutor pool{1};
  pool.submit([] {}).get();
  arguments.text("by", "memory") == "memory" ? by_memory(arguments, pool) : by_value(arguments, pool);
}
