#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>

#include <weft/base/owned_fd.hpp>

#include "process/memory/memory.hpp"

namespace weft::process::detail {

/// What the handles of one SharedMemory have in common: descriptor, mapping, and the name.
class Segment {
 public:
  Segment(OwnedFd fd, std::size_t size, std::string name)
      : name_{std::move(name)}, fd_{std::move(fd)}, mapping_{fd_.get(), size, object()} {}

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return mapping_.bytes(); }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// Without a slash; empty: anonymous.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// As errors call it.
  [[nodiscard]] std::string object() const;

 private:
  std::string name_;
  OwnedFd fd_;
  Mapping mapping_;
};

}  // namespace weft::process::detail
