#pragma once

#include <cstddef>
#include <string>

#include <weft/detail/pool_executor.hpp>
#include <weft/fiber/runtime.hpp>

namespace weft {

/// Fibers that do work, each task on one: for work that waits.
///
///     weft::FiberPoolExecutor fibers{100};                       // at most a hundred at once
///     for (auto& page : fibers.map(fetch, urls)) keep(page);
///
/// Semantics:     as ThreadPoolExecutor, with gevent.pool in mind: a fiber is made for a task, while there are fewer than
///                `max_fibers`; else the task waits in line until one is done with its own.
/// Runtime:       the one whose fibers it makes is, unless given, the one the maker belongs to, or the default one. It must outlive the
///                executor; one with a single worker has to be driven by somebody meanwhile.
/// Thread-safety: every method, from any thread or fiber. shutdown() that waits, and the destructor, not from its own work.
/// Blocking:      as ThreadPoolExecutor.
/// Methods:       in detail::PoolExecutor and Mapping.
/// Cost:          that of spawn() and of the result.
class FiberPoolExecutor : public detail::PoolExecutor<FiberPoolExecutor> {
 public:
  struct Config {
    unsigned max_fibers = 0;      ///< 0: no bound.
    std::string name = {};        ///< For reports; "FiberPoolExecutor-0" and so on unless set.
    std::size_t max_pending = 0;  ///< So many wait in line at most, then submit() waits; 0: no bound.
    Runtime* runtime = nullptr;
  };

  explicit FiberPoolExecutor(unsigned max_fibers = 0) : FiberPoolExecutor{Config{.max_fibers = max_fibers}} {}
  explicit FiberPoolExecutor(Config config);
};

}  // namespace weft
