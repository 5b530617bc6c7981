#pragma once

// What the pools of threads and of fibers share. Headers of weft only.

#include <cstddef>
#include <memory>
#include <string>

#include <weft/base/unique_function.hpp>
#include <weft/detail/future_state.hpp>

namespace weft {
class Runtime;
}

namespace weft::detail {

class Scheduler;

/// Runs jobs, with workers of some kind. Shared by the executor and its workers, so that either may go first.
class PoolCore {
 public:
  PoolCore(const PoolCore&) = delete;
  PoolCore& operator=(const PoolCore&) = delete;

  /// Takes over a reference to the job. Throws: ShutDown, BrokenExecutor, what interrupts the wait for room, what starting a
  /// worker throws if there is none; the reference has been released then.
  virtual void submit(FutureState& job) = 0;
  /// No more work. `cancel`: what has not begun is cancelled. `wait`: until all workers have ended.
  virtual void shutdown(bool wait, bool cancel) = 0;
  [[nodiscard]] virtual std::size_t workers() const noexcept = 0;

 protected:
  PoolCore() = default;
  ~PoolCore() = default;
};

struct PoolConfig {
  const char* kind;
  unsigned most_workers;
  std::size_t most_pending;
  std::string name;
  UniqueFunction<void()> initializer;
};

[[nodiscard]] std::shared_ptr<PoolCore> make_thread_pool(PoolConfig config);
[[nodiscard]] std::shared_ptr<PoolCore> make_fiber_pool(PoolConfig config, Scheduler* scheduler);

/// An executor goes: its work is finished first; but what has not begun is cancelled if an exception unwinds.
void end_pool(PoolCore& pool, int exceptions_before) noexcept;

}  // namespace weft::detail
