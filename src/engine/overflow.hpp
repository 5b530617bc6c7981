#pragma once

#include <csignal>
#include <cstddef>

namespace weft::detail {

/// While it lives, the calling thread, a worker or one with greenlets, handles its memory faults on a stack of their own; one in the guard page
/// of a fiber's or a greenlet's stack is reported with the name and stack size before the process dies of it.
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
