#pragma once

#include <cstddef>

namespace weft::detail {

/// Memory for tasks and futures, which are usually made on one thread and freed on another: the slowest case of general allocators. Blocks
/// go back with the size they were asked for. Any thread. Throws: std::bad_alloc.
[[nodiscard]] void* allocate_task(std::size_t bytes);
void free_task(void* memory, std::size_t bytes) noexcept;

}  // namespace weft::detail
