#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include "engine/fiber_context.hpp"
#include "engine/spin_lock.hpp"
#include "port/stack_memory.hpp"

namespace weft::detail {

/// The size of a stack for which so many bytes were asked: whole pages, and enough of them to run at all.
[[nodiscard]] std::size_t whole_stack_pages(std::size_t bytes) noexcept;

/// Stacks of one size, cut from slabs of address space. Thread-safe; meant to be asked for batches.
class StackPool {
 public:
  explicit StackPool(std::size_t stack_bytes) : stack_bytes_{stack_bytes} {}
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  [[nodiscard]] std::size_t stack_bytes() const noexcept { return stack_bytes_; }

  /// One to `most` stacks, recently used ones first. Throws OSError when the kernel gives no address space.
  std::size_t acquire(Stack* stacks, std::size_t most);
  void release(const Stack* stacks, std::size_t count) noexcept;

  /// Called about once a second: half of the stacks that nobody needed since the last call give their memory back, and
  /// slabs of which every stack has done so are unmapped.
  void trim() noexcept;

  /// Calls visit(FiberContext&) for every stack that a fiber is bound to at that moment. Fibers may end meanwhile: only
  /// what is atomic in a context may be looked at.
  /// The lock is let go between slabs: there may be a million stacks.
  template <class Visit>
  void for_each_bound(Visit visit) {
    for (std::size_t number = 0;; ++number) {
      const std::lock_guard guard{lock_};
      if (number >= slabs_.size()) return;
      const Slab& slab = slabs_[number];
      for (std::size_t i = 0; i < slab.cut; ++i) {
        auto* context = static_cast<FiberContext*>(fiber_context_place(slab.stack(i)));
        if (context->task.load(std::memory_order_acquire)) visit(*context);
      }
    }
  }

  /// Whether `address` lies in a guard page of this pool; if so, `stack` is the one that overflowed.
  [[nodiscard]] bool guards(const void* address, Stack& stack) noexcept;

 private:
  struct Slab : port::StackSlab {
    std::size_t cut = 0;       // stacks handed out at least once
    std::vector<Stack> cold;  // cut, free, without memory

    [[nodiscard]] Stack stack(std::size_t i) const { return {memory + i * stack_bytes, stack_bytes}; }
    [[nodiscard]] bool contains(const void* p) const { return p >= memory && p < memory + stack_bytes * count; }
  };

  Slab& slab_to_cut();
  Slab* slab_of(const std::byte* address) noexcept;
  void cool(std::vector<Stack>& stacks) noexcept;

  const std::size_t stack_bytes_;
  std::mutex lock_;
  std::vector<Slab> slabs_;   // this and below: guarded by lock_
  std::vector<Stack> warm_;   // free, memory kept, most recently used last
  std::size_t cold_ = 0;      // in all slabs
  std::size_t least_warm_ = 0;  // the smallest warm_.size() since the last trim()
};

}  // namespace weft::detail
