#include "engine/fork.hpp"

#include <pthread.h>

#include <mutex>

#include "engine/monitor.hpp"
#include "engine/helper_pool.hpp"
#include "engine/reactor.hpp"
#include "engine/scheduler.hpp"
#include "engine/thread_context.hpp"
#include "engine/worker.hpp"

namespace weft::detail {

namespace {

// The monitor's lock is held across the fork, so that no scheduler is half added in the child's copy. Spin locks are held
// for a few instructions by threads the child does not have: it resets those it will use.
void before_fork() { monitor_lock_for_fork(); }
void after_fork_in_parent() { monitor_unlock_after_fork(false); }

void after_fork_in_child() {
  monitor_unlock_after_fork(true);
  Reactor::forget_all();
  forget_default_scheduler();
  forget_helpers();
  forget_worker();
  become_plain_thread();
}

}  // namespace

void prepare_for_fork() {
  static std::once_flag once;
  std::call_once(once, [] { ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); });
}

}  // namespace weft::detail
