// What the kernel charges on this machine: the least system call and the first touch of a page. Between bare metal and
// the various kinds of virtual machines they differ by a factor of twenty, and many figures with them. And how long a
// step of common/work.hpp takes here.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "common/measure.hpp"
#include "common/work.hpp"

namespace {

double system_call_ns() {
  constexpr int kCalls = 100'000;
  const bench::Stopwatch watch;
  for (int i = 0; i < kCalls; ++i) syscall(SYS_getppid);
  return watch.cpu_ns() / kCalls;
}

double page_fault_ns() {
  constexpr std::size_t kPageBytes = 4096;
  constexpr std::size_t kPages = 10'000;
  void* mapping =
      mmap(nullptr, kPages * kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return 0;
  madvise(mapping, kPages * kPageBytes, MADV_NOHUGEPAGE);
  auto* pages = static_cast<volatile char*>(mapping);
  const bench::Stopwatch watch;
  for (std::size_t i = 0; i < kPages; ++i) pages[i * kPageBytes] = 1;
  return watch.cpu_ns() / kPages;
}

// The least of some short runs: whatever disturbs one makes it longer.
double work_step_ns() {
  constexpr int kRuns = 50;
  constexpr std::uint64_t kSteps = 50'000;
  double least = 1e9;
  std::uint64_t value = 1;
  for (int i = 0; i < kRuns; ++i) {
    const bench::Stopwatch watch;
    value = bench::work(value, kSteps);
    least = std::min(least, watch.wall_ns() / kSteps);
  }
  return least;
}

}  // namespace

int main() {
  std::printf("system_call_ns=%.0f page_fault_ns=%.0f work_step_ns=%.4f\n", system_call_ns(), page_fault_ns(),
              work_step_ns());
}
