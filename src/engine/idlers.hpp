#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/wait_list.hpp>

namespace weft::detail {

/// The fibers that began on one worker to wait until it has nothing else to run.
/// Not inline: a worker uses it, whose code is not instrumented (worker.hpp), and so do fibers.
class Idlers {
 public:
  /// A hint for the worker itself: a fiber that waits here was enlisted on its thread.
  [[nodiscard]] bool waiting() const noexcept { return state_.load(std::memory_order_relaxed) != 0; }

  void enlist(Entry& entry) noexcept;
  void withdraw(Entry& entry) noexcept;
  /// Lets all go.
  void release() noexcept;

 private:
  static constexpr std::uint32_t kList = 1, kWaiters = 2;
  using Guard = ListGuard<std::uint32_t, kList>;

  std::atomic<std::uint32_t> state_{0};
  WaitList waiters_;  // guarded by kList
};

}  // namespace weft::detail
