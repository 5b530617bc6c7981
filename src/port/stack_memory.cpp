#include "port/stack_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102  // Linux 6.13; Debian 12's headers do not know it yet.
#endif

namespace weft::port {

namespace {

std::atomic<std::size_t> unguarded{0};
std::atomic<std::size_t> protected_pages{0};

// What is found out on first use is kept in atomics, by several threads at once if so it happens: a child forked while
// another thread initializes a local static variable would wait for that thread for ever.

std::size_t mprotect_budget() {
  static std::atomic<std::size_t> known{0};
  if (const std::size_t budget = known.load(std::memory_order_relaxed)) return budget;
  std::size_t limit = 65530;
  if (std::FILE* file = std::fopen("/proc/sys/vm/max_map_count", "re")) {
    if (std::fscanf(file, "%zu", &limit) != 1) limit = 65530;
    std::fclose(file);
  }
  known.store(limit / 4 + 1, std::memory_order_relaxed);
  return limit / 4 + 1;
}

// Probed on a page of its own, so that a later refusal for one range (locked memory) is not taken for an old kernel.
bool guard_install_works() {
  enum Answer : unsigned char { Unknown, Yes, No };
  static std::atomic<Answer> known{Unknown};
  if (const Answer answer = known.load(std::memory_order_relaxed); answer != Unknown) return answer == Yes;
  void* page = ::mmap(nullptr, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return false;
  const bool works = ::madvise(page, page_bytes(), MADV_GUARD_INSTALL) == 0;
  ::munmap(page, page_bytes());
  known.store(works ? Yes : No, std::memory_order_relaxed);
  return works;
}

bool guard_by_marker(std::byte* page) {
  return guard_install_works() &&
         ::madvise(page, page_bytes(), MADV_GUARD_INSTALL) == 0;
}

// Each protected page splits a mapping in two, and the number of mappings is limited.
bool guard_by_protection(std::byte* page) {
  if (protected_pages.fetch_add(1, std::memory_order_relaxed) < mprotect_budget() &&
      ::mprotect(page, page_bytes(), PROT_NONE) == 0) {
    return true;
  }
  protected_pages.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

}  // namespace

std::size_t page_bytes() noexcept {
  static std::atomic<std::size_t> known{0};
  std::size_t bytes = known.load(std::memory_order_relaxed);
  if (bytes == 0) {
    bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    known.store(bytes, std::memory_order_relaxed);
  }
  return bytes;
}

StackSlab map_stacks(std::size_t stack_bytes, std::size_t count) noexcept {
  void* memory = ::mmap(nullptr, stack_bytes * count, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return {};
  ::madvise(memory, stack_bytes * count, MADV_NOHUGEPAGE);
  return {static_cast<std::byte*>(memory), stack_bytes, count, 0};
}

void unmap_stacks(const StackSlab& slab) noexcept { ::munmap(slab.memory, slab.stack_bytes * slab.count); }

void guard_stacks(StackSlab& slab, std::size_t upto) noexcept {
  for (upto = std::min(upto, slab.count); slab.guarded < upto; ++slab.guarded) {
    std::byte* page = slab.memory + slab.guarded * slab.stack_bytes;
    if (guard_by_marker(page) || guard_by_protection(page)) continue;
    if (unguarded.fetch_add(1, std::memory_order_relaxed) == 0) {
      std::fputs(
          "weft: the kernel refuses more guard pages; further fiber stacks have none (raise vm.max_map_count, or use "
          "Linux 6.13)\n",
          stderr);
    }
  }
}

std::size_t unguarded_stacks() noexcept { return unguarded.load(std::memory_order_relaxed); }

void discard(void* begin, std::size_t bytes) noexcept { ::madvise(begin, bytes, MADV_DONTNEED); }

}  // namespace weft::port
