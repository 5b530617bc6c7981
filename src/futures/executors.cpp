#include <algorithm>
#include <string>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/futures/fiber_pool_executor.hpp>
#include <weft/futures/thread_pool_executor.hpp>

#include "engine/scheduler.hpp"

namespace weft {

namespace {

// Python's choice: as many as can compute at once, and some that wait.
unsigned usual_threads() { return std::min(32U, detail::default_workers() + 4); }

}  // namespace

ThreadPoolExecutor::ThreadPoolExecutor(Config config)
    : PoolExecutor{detail::make_thread_pool({.kind = "ThreadPoolExecutor",
                                             .most_workers = config.max_workers == 0 ? usual_threads() : config.max_workers,
                                             .most_pending = config.max_pending,
                                             .name = std::move(config.name),
                                             .initializer = std::move(config.initializer)})} {}

FiberPoolExecutor::FiberPoolExecutor(Config config)
    : PoolExecutor{detail::make_fiber_pool({.kind = "FiberPoolExecutor",
                                            .most_workers = config.max_fibers,
                                            .most_pending = config.max_pending,
                                            .name = std::move(config.name),
                                            .initializer = {}},
                                           config.runtime ? &detail::RuntimeAccess::scheduler(*config.runtime) : nullptr)} {}

void detail::throw_map_timeout(std::size_t index) {
  throw TimeoutError{"map: the deadline passed before result " + std::to_string(index) + " was there"};
}

}  // namespace weft
