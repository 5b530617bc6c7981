#pragma once

#include <cstddef>

namespace weft::port {

[[nodiscard]] std::size_t page_bytes() noexcept;

/// Address space for `count` stacks of `stack_bytes` each, side by side, no memory behind it until it is touched and
/// never in huge pages. The lowest page of each is its guard. Null when the kernel refuses.
struct StackSlab {
  std::byte* memory = nullptr;
  std::size_t stack_bytes = 0;
  std::size_t count = 0;
  std::size_t guarded = 0;  ///< The first so many stacks have a guard page.
};
[[nodiscard]] StackSlab map_stacks(std::size_t stack_bytes, std::size_t count) noexcept;
void unmap_stacks(const StackSlab& slab) noexcept;

/// Puts guards into the next stacks of a slab, a batch at a time, up to `upto`. Prefers MADV_GUARD_INSTALL (no mapping
/// of its own); where the kernel lacks it or refuses (locked memory), mprotect while the budget of a quarter of
/// vm.max_map_count lasts. Stacks beyond the budget stay unguarded and are counted.
void guard_stacks(StackSlab& slab, std::size_t upto) noexcept;
[[nodiscard]] std::size_t unguarded_stacks() noexcept;

/// Gives the memory of [begin, begin + bytes) back; the addresses stay usable and read as zero.
void discard(void* begin, std::size_t bytes) noexcept;

}  // namespace weft::port
