#include "engine/fork.hpp"

#include <pthread.h>

#include "engine/descriptor.hpp"
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

// All process-wide locks of the engine are held across the fork, so that the child's copies are consistent, and free.
void before_fork() {
  lock_default_scheduler_for_fork();
  monitor_lock_for_fork();
  Reactor::lock_for_fork();
  Descriptor::lock_for_fork();
  lock_threads_for_fork();
  lock_task_memory_for_fork();
  lock_locals_for_fork();
  lock_hooks_for_fork();
}

void unlock_all(bool child) {
  unlock_hooks_after_fork();
  unlock_locals_after_fork();
  unlock_task_memory_after_fork();
  unlock_threads_after_fork();
  Descriptor::unlock_after_fork();
  Reactor::unlock_after_fork();
  monitor_unlock_after_fork(child);
  unlock_default_scheduler_after_fork();
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

bool prepare_for_fork() noexcept {
  return ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
}

}  // namespace weft::detail
