#pragma once

#include <cstddef>

#include <weft/detail/context.hpp>

#include "engine/eh_globals.hpp"
#include "engine/foreign_calls.hpp"
#include "port/sanitizer.hpp"

namespace weft::detail {

class Task;
class Worker;

/// A stack that is not running: a fiber's, or a worker thread's own.
struct SwitchPoint {
  void* saved = nullptr;
  EhGlobals exceptions;
  port::SanitizerState sanitizer;
};

struct Stack {
  std::byte* bottom = nullptr;
  std::size_t bytes = 0;

  [[nodiscard]] std::byte* top() const { return bottom + bytes; }
};

/// A fiber that has begun to run. It stands at the high end of its own stack, so that an idle fiber touches one page.
class FiberContext final : public Context, public SwitchPoint {
 public:
  FiberContext(Stack of, Task& to_run, std::uint64_t context_id) : Context{Kind::Fiber, context_id}, task{&to_run}, stack{of} {}

  std::atomic<Task*> task;  // null once it has ended; read by whoever walks all stacks
  Worker* worker = nullptr;  // where it runs, or ran last
  /// Its registers are saved. A fiber that is about to wait can be woken, and taken by another worker, before it has left
  /// its own: the other waits for this (as Linux's try_to_wake_up() does for on_cpu).
  std::atomic<bool> resting{false};
  /// It waits inside a foreign library's call, which may rely on its thread: it goes on on `worker`, nowhere else. Its own:
  /// others read it only once they have claimed its wait (foreign_calls.hpp).
  bool pinned = false;
  Stack stack;
  ForeignLocks foreign_locks;
};

/// Where the context of a stack stands. Below it, the stack proper.
[[nodiscard]] inline void* fiber_context_place(Stack stack) {
  constexpr std::size_t room = (sizeof(FiberContext) + 63) / 64 * 64;
  return stack.top() - room;
}

}  // namespace weft::detail
