// The floor for parked fibers: N reservations of a stack's size in one mapping, one page of each touched, and nothing
// else. What a fault costs differs by an order of magnitude between machines. Arguments: --count N.
#include <sys/mman.h>

#include "common/measure.hpp"
#include "common/process_memory.hpp"

int main(int argc, char** argv) {
  constexpr std::size_t kStackBytes = 256 * 1024;
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 1'000'000);

  const auto before = bench::ProcessMemory::of("self");
  const bench::Stopwatch touching;
  void* mapping = mmap(nullptr, count * kStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    std::perror("mmap");
    return 1;
  }
  madvise(mapping, count * kStackBytes, MADV_NOHUGEPAGE);
  auto* stacks = static_cast<volatile char*>(mapping);
  for (std::uint64_t i = 1; i <= count; ++i) stacks[i * kStackBytes - 1] = 1;
  const double wall = touching.wall_ns();
  const double cpu = touching.cpu_ns();
  const auto after = bench::ProcessMemory::of("self", true);

  const auto per = static_cast<double>(count);
  const double resident = static_cast<double>(after.resident_bytes - before.resident_bytes) / per;
  const double tables = static_cast<double>(after.page_table_bytes - before.page_table_bytes) / per;
  std::printf(
      "bytes_per_fiber=%.0f resident_bytes=%.0f page_table_bytes=%.0f mappings=%lld ns_per_op=%.1f "
      "cpu_ns_per_op=%.1f\n",
      resident + tables, resident, tables, static_cast<long long>(after.mappings), wall / per, cpu / per);
}
