// What the kernel charges on this machine: the least system call and the first touch of a page. Between bare metal and
// the various kinds of virtual machines they differ by a factor of twenty, and many figures with them.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/measure.hpp"

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

}  // namespace

int main() {
  std::printf("system_call_ns=%.0f page_fault_ns=%.0f\n", system_call_ns(), page_fault_ns());
}
