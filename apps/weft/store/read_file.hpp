#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "base/hashing.hpp"

namespace weft::app {

/// Reads until `buffer` is full or the file ends. Returns how much. Throws: Refusal. Blocks in the kernel.
[[nodiscard]] std::size_t read_fully(int file, std::span<std::byte> buffer, std::uint64_t offset,
                                     std::string_view name);

/// Adds the first `size` bytes of the file to `sha`, on helper threads, a slice (64 MiB) at a time.
/// `after_slice` is called with the bytes done so far when more are to come: the place to tell the other end that one
/// is still at work.
/// Returns: how much was hashed; less than `size` when the file is shorter. Throws: Refusal, what `after_slice` throws.
std::uint64_t hash_prefix(int file, std::uint64_t size, Sha256& sha, std::string_view name,
                          const std::function<void(std::uint64_t)>& after_slice);

}  // namespace weft::app
