#pragma once

#include <sys/uio.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace weft::port {

/// Copies memory of this process through the kernel, as there may be nothing at the address. False: there is not all of it.
[[nodiscard]] inline bool read_own_memory(std::uintptr_t from, void* to, std::size_t bytes) noexcept {
  iovec here{to, bytes};
  iovec there{reinterpret_cast<void*>(from), bytes};
  return ::process_vm_readv(::getpid(), &here, 1, &there, 1, 0) == static_cast<ssize_t>(bytes);
}

}  // namespace weft::port
