#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>

#include <weft/base/unique_function.hpp>

namespace weft::detail {

/// Threads for work that blocks its thread. Grows by need up to a cap; a thread that was idle for ten seconds ends.
/// Jobs must not throw. They run in the order of submission, as threads become free.
class HelperPool {
 public:
  HelperPool(std::string name, unsigned most) : name_{std::move(name)}, most_{most} {}

  void submit(UniqueFunction<void()> job);
  /// Whether nothing is being done, nor about to be.
  [[nodiscard]] bool rests();

 private:
  void start_thread();
  void serve();

  const std::string name_;
  const unsigned most_;
  std::mutex lock_;
  std::condition_variable work_;
  std::deque<UniqueFunction<void()>> jobs_;  // this and below: guarded by lock_
  unsigned threads_ = 0;
  unsigned idle_ = 0;
};

/// The pools behind weft::blocking(), for waiting for name servers, and for what users have to do with results from other processes, for
/// which helpers of the first may wait. Never destroyed; new ones in a forked child.
[[nodiscard]] HelperPool& blocking_helpers();
[[nodiscard]] HelperPool& resolver_helpers();
[[nodiscard]] HelperPool& result_helpers();
/// Whether no helper runs a function of the program's. For the monitor.
[[nodiscard]] bool helpers_rest();
void forget_helpers() noexcept;

}  // namespace weft::detail
