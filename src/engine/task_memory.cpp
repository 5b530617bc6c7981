// Memory of tasks: blocks of a few sizes, kept by the thread that freed them, passed on in batches.
//
// A task is usually made on one thread and freed on another. Of general allocators that is the slowest case; here a full
// cache gives half of its blocks to a shared list, and an empty one takes a batch from there: one lock for many tasks.

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <new>
#include <utility>

#include <weft/detail/task.hpp>
#include <weft/detail/task_memory.hpp>

#include "engine/spin_lock.hpp"
#include "port/sanitizer.hpp"

namespace weft::detail {

namespace {

constexpr std::size_t kStep = 64;
constexpr std::size_t kClasses = 8;  // up to 512 bytes, as tasks of processes are; larger ones come from the heap
constexpr std::size_t kBatch = 64;
constexpr std::size_t kFirstChunk = 32 * 1024;
constexpr std::size_t kHugeChunk = 2 * 1024 * 1024;

struct Block {
  Block* next;
  Block* next_batch;  // of the first block of a batch in the shared list
};

/// Batches that no thread keeps, and memory not cut into blocks yet. It stays with the process, to be used again.
struct Shared {
  SpinLock lock;
  Block* batches = nullptr;
  std::byte* uncut = nullptr;
  std::byte* end = nullptr;
  std::size_t next_chunk = kFirstChunk;
};
Shared shared[kClasses];

struct Cache {
  Block* first = nullptr;
  std::size_t count = 0;
};

void share(std::size_t size_class, Block* batch) noexcept {
  const std::lock_guard guard{shared[size_class].lock};
  batch->next_batch = shared[size_class].batches;
  shared[size_class].batches = batch;
}

struct ThreadCaches {
  Cache of[kClasses];

  ~ThreadCaches();
};
thread_local ThreadCaches caches;
// After that destructor others of this thread may still free and make tasks: they take the heap's way out.
thread_local bool caches_gone = false;

ThreadCaches::~ThreadCaches() {
  caches_gone = true;
  for (std::size_t i = 0; i < kClasses; ++i) {
    if (Block* first = std::exchange(of[i].first, nullptr)) share(i, first);
  }
}

// Never inlined: a fiber frees on another thread than it allocated on.
// Null: this thread is ending.
[[gnu::noinline]] Cache* cache_of(std::size_t size_class) noexcept {
  asm volatile("");
  return caches_gone ? nullptr : &caches.of[size_class];
}

/// Chunks grow: a program with many fibers gets its tasks in huge pages, one page fault for sixteen thousand of them.
void add_chunk(Shared& pool) {
  const std::size_t bytes = pool.next_chunk;
  pool.uncut = static_cast<std::byte*>(::operator new(bytes, std::align_val_t{bytes < kHugeChunk ? kStep : kHugeChunk}));
  pool.end = pool.uncut + bytes;
  if (bytes == kHugeChunk) ::madvise(pool.uncut, bytes, MADV_HUGEPAGE);
  pool.next_chunk = std::min(bytes * 4, kHugeChunk);
}

void refill(Cache& cache, std::size_t size_class) {
  Shared& pool = shared[size_class];
  const std::size_t bytes = (size_class + 1) * kStep;
  const std::lock_guard guard{pool.lock};
  if (Block* batch = pool.batches) {
    pool.batches = batch->next_batch;
    cache.first = batch;
    cache.count = 0;
    for (const Block* block = batch; block; block = block->next) ++cache.count;
    return;
  }
  if (static_cast<std::size_t>(pool.end - pool.uncut) < bytes) add_chunk(pool);
  const auto left = static_cast<std::size_t>(pool.end - pool.uncut) / bytes;
  cache.count = std::min(left, kBatch);
  Block** last = &cache.first;
  for (std::size_t i = 0; i < cache.count; ++i, pool.uncut += bytes) {
    *last = reinterpret_cast<Block*>(pool.uncut);
    last = &(*last)->next;
  }
  *last = nullptr;
}

// Half of a full cache goes; the blocks used last stay, they are warm.
void shed(Cache& cache, std::size_t size_class) noexcept {
  Block* last_kept = cache.first;
  for (std::size_t i = 1; i < kBatch; ++i) last_kept = last_kept->next;
  share(size_class, last_kept->next);
  last_kept->next = nullptr;
  cache.count = kBatch;
}

constexpr std::size_t class_of(std::size_t bytes) { return (bytes + kStep - 1) / kStep - 1; }

}  // namespace

void lock_task_memory_for_fork() noexcept {
  for (Shared& pool : shared) pool.lock.lock();
}
void unlock_task_memory_after_fork() noexcept {
  for (Shared& pool : shared) pool.lock.unlock();
}

// Under a sanitizer the heap itself: it knows who freed what.
void* allocate_task(std::size_t bytes) {
  if (port::kSanitized || class_of(bytes) >= kClasses) return ::operator new(bytes);
  Cache* kept = cache_of(class_of(bytes));
  Cache for_once;
  Cache& cache = kept ? *kept : for_once;
  if (!cache.first) refill(cache, class_of(bytes));
  Block* block = cache.first;
  cache.first = block->next;
  --cache.count;
  if (!kept && cache.first) share(class_of(bytes), cache.first);
  return block;
}

void free_task(void* memory, std::size_t bytes) noexcept {
  if (port::kSanitized || class_of(bytes) >= kClasses) {
    ::operator delete(memory);
    return;
  }
  auto* block = static_cast<Block*>(memory);
  Cache* cache = cache_of(class_of(bytes));
  if (!cache) {
    block->next = nullptr;
    share(class_of(bytes), block);
    return;
  }
  block->next = cache->first;
  cache->first = block;
  if (++cache->count == 2 * kBatch) shed(*cache, class_of(bytes));
}

void* Task::operator new(std::size_t bytes) { return allocate_task(bytes); }
void Task::operator delete(void* memory, std::size_t bytes) noexcept { free_task(memory, bytes); }
// Callables that ask for more than the usual alignment are rare: the heap knows how.
void* Task::operator new(std::size_t bytes, std::align_val_t alignment) { return ::operator new(bytes, alignment); }
void Task::operator delete(void* memory, std::size_t, std::align_val_t alignment) noexcept {
  ::operator delete(memory, alignment);
}

}  // namespace weft::detail
