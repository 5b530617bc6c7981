#pragma once

namespace weft::detail {

/// Installs the fork handlers; scheduler.cpp does, as the program starts. With them a child of fork() has one thread, a fresh engine made on first use and
/// no inherited fibers; the caller's context id stays its own, so that locks it held are held by the child's main thread.
bool prepare_for_fork() noexcept;

/// What a library above the engine does around fork(): `before` takes its locks, ahead of all of the engine's; `after` gives them back,
/// when the engine is whole again. Added as the program starts, for ever. Hooks have nothing to do with each other.
struct ForkHook {
  void (*before)() noexcept;
  void (*after)(bool in_child) noexcept;
  ForkHook* next = nullptr;
};
void add_fork_hook(ForkHook& hook) noexcept;

void lock_task_memory_for_fork() noexcept;
void unlock_task_memory_after_fork() noexcept;
void lock_hooks_for_fork() noexcept;
void unlock_hooks_after_fork() noexcept;

}  // namespace weft::detail
