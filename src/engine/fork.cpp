#include "engine/fork.hpp"

#include <pthread.h>

#include <atomic>

#include "engine/descriptor.hpp"
#include "engine/greenlets.hpp"
#include "engine/foreign_descriptors.hpp"
#include "engine/helper_pool.hpp"
#include "engine/locals.hpp"
#include "engine/monitor.hpp"
#include "engine/reactor.hpp"
#include "engine/scheduler.hpp"
#include "engine/thread_context.hpp"
#include "engine/worker.hpp"

namespace weft::detail {

namespace {

constinit std::atomic<ForkHook*> hooks{nullptr};

template <class Visit>
void for_each_hook(Visit visit) {
  for (ForkHook* hook = hooks.load(std::memory_order_acquire); hook; hook = hook->next) visit(*hook);
}

// All process-wide locks of the engine are held across the fork, so that the child's copies are consistent, and free.
void before_fork() {
  for_each_hook([](ForkHook& hook) { hook.before(); });
  lock_default_scheduler_for_fork();
  monitor_lock_for_fork();
  Reactor::lock_for_fork();
  Descriptor::lock_for_fork();
  lock_threads_for_fork();
  lock_task_memory_for_fork();
  lock_locals_for_fork();
  lock_greenlets_for_fork();
  lock_hooks_for_fork();
}

void unlock_all(bool child) {
  unlock_hooks_after_fork();
  unlock_greenlets_after_fork();
  unlock_locals_after_fork();
  unlock_task_memory_after_fork();
  unlock_threads_after_fork();
  Descriptor::unlock_after_fork();
  Reactor::unlock_after_fork();
  monitor_unlock_after_fork(child);
  unlock_default_scheduler_after_fork();
  for_each_hook([child](ForkHook& hook) { hook.after(child); });
}

void after_fork_in_parent() { unlock_all(false); }

void after_fork_in_child() {
  forks_survived.fetch_add(1, std::memory_order_relaxed);
  Descriptor::forget_waiters();
  forget_foreign_waiters();
  Reactor::forget_all();
  forget_default_scheduler();
  forget_helpers();
  forget_worker();
  become_plain_thread();
  unlock_all(true);
}

}  // namespace

void add_fork_hook(ForkHook& hook) noexcept {
  hook.next = hooks.load(std::memory_order_relaxed);
  while (!hooks.compare_exchange_weak(hook.next, &hook, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

bool prepare_for_fork() noexcept {
  return ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
}

}  // namespace weft::detail
