#pragma once

#include <cstddef>
#include <string>

#include <weft/base/unique_function.hpp>
#include <weft/detail/pool_executor.hpp>

namespace weft {

/// Threads that do work in the order of its coming.
///
///     weft::ThreadPoolExecutor threads{4};
///     weft::Future<Image> image = threads.submit(decode, path);
///
/// Semantics:     after Python concurrent.futures.ThreadPoolExecutor: threads are made as they are needed, never more than
///                `max_workers`, and idle ones are used first. Differs: the destructor finishes the work and waits, but if an
///                exception unwinds (an interrupt, say) it calls off what has not begun.
/// Thread-safety: every method, from any thread, fiber, or work of the pool itself.
/// Blocking:      submit only when `max_pending` jobs wait in line already, where a scope's deadline or a kill ends it; shutdown
///                and the destructor, until the work is done. Called by the pool's own work they do not wait for that.
/// Waiting inside for other work of the same pool, or for room in its line, is fine while a thread is left for it; once all its threads
/// wait so, that is a deadlock, and one of them gets a DeadlockError that names the pool.
/// Threads:       are weft's Thread, named NAME_0, NAME_1, ...; daemons, so that a forgotten executor does not keep the
///                program from ending.
/// fork():        a child has none of the threads: submit throws BrokenExecutor there.
/// Methods:       in detail::PoolExecutor and Mapping.
/// Cost:          one allocation and about 0.1 microseconds for a task that is submitted, run and waited for.
class ThreadPoolExecutor : public detail::PoolExecutor<ThreadPoolExecutor> {
 public:
  struct Config {
    unsigned max_workers = 0;     ///< 0: four more than this process has processors, at most 32.
    std::string name = {};        ///< For its threads and for reports; "ThreadPoolExecutor-0" and so on unless set.
    std::size_t max_pending = 0;  ///< So many wait in line at most, then submit() waits; 0: no bound.
    /// Runs first in each thread, perhaps in several at once. If it throws, the pool is broken: all work fails with BrokenExecutor.
    UniqueFunction<void()> initializer = {};
  };

  explicit ThreadPoolExecutor(unsigned max_workers = 0) : ThreadPoolExecutor{Config{.max_workers = max_workers}} {}
  explicit ThreadPoolExecutor(Config config);
};

}  // namespace weft
