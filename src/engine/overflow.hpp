#pragma once

#include <csignal>
#include <cstddef>

namespace weft::detail {

/// While it lives, the calling worker thread handles its memory faults on a stack of their own; one in the guard page
/// of a fiber's stack is reported with the fiber's name and stack size before the process dies of it.
class OverflowGuard {
 public:
  OverflowGuard();
  ~OverflowGuard();
  OverflowGuard(const OverflowGuard&) = delete;
  OverflowGuard& operator=(const OverflowGuard&) = delete;

 private:
  stack_t former_{};
  void* memory_ = nullptr;
};

}  // namespace weft::detail
