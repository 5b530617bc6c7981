#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <weft/detail/task.hpp>

#include "engine/idle_set.hpp"
#include "engine/run_queue.hpp"
#include "engine/stack_pool.hpp"
#include "engine/worker.hpp"

namespace weft::detail {

class Reactor;
struct Stall;

/// The workers of one runtime and what they share.
class Scheduler {
 public:
  struct Settings {
    unsigned workers = 1;
    std::size_t stack_bytes = 256 * 1024;
    std::string name;
    bool driven = false;          ///< One worker, no thread: fibers run while a thread is inside drive().
    bool migrate_always = false;  ///< Every wake-up goes through the shared queue, so that fibers change workers.
  };

  explicit Scheduler(Settings settings);
  /// Kills all fibers that are left, waits for them, ends the workers.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// A fresh or woken task becomes runnable. Any thread.
  void schedule(Task& task) noexcept;
  /// The same for one that is pinned to a worker. Any thread.
  void schedule_pinned(Worker& worker, Task& task) noexcept;
  /// Counts a new task as alive, then schedules it.
  void start(Task& task) noexcept;

  /// Driven schedulers: the calling thread runs fibers until `task` has ended. False: another thread is doing so.
  [[nodiscard]] bool drive(const Task& task);

  [[nodiscard]] const Settings& settings() const noexcept { return settings_; }
  [[nodiscard]] bool stopping() const noexcept { return stopping_.load(std::memory_order_seq_cst); }
  /// The destructor has begun: fibers that have not started end without running.
  [[nodiscard]] bool closing() const noexcept { return closing_.load(std::memory_order_relaxed); }
  /// Tasks started and not ended: exact when it says zero.
  [[nodiscard]] std::uint64_t live() const noexcept;

  std::vector<std::unique_ptr<Worker>>& workers() noexcept { return workers_; }
  GlobalQueue& queue() noexcept { return queue_; }
  IdleSet& idle() noexcept { return idle_; }
  Reactor& reactor() noexcept { return reactor_; }
  StackPool& stacks(std::size_t bytes);
  StackPool& default_stacks() noexcept { return *default_pool_; }

  /// Pushes to the shared queue and wakes a sleeper if there is one. Any thread.
  void inject(TaskChain chain) noexcept;
  /// Wakes one sleeping worker unless somebody is looking for work already.
  void wake_one() noexcept;
  void wake(unsigned worker) noexcept;
  void wake_all() noexcept;

  // The seat before the reactor: at most one worker sleeps there.
  [[nodiscard]] bool take_poll_seat(unsigned worker) noexcept {
    int nobody = -1;
    return poll_seat_.compare_exchange_strong(nobody, static_cast<int>(worker), std::memory_order_acq_rel);
  }
  void leave_poll_seat() noexcept { poll_seat_.store(-1, std::memory_order_release); }
  [[nodiscard]] int poll_seat() const noexcept { return poll_seat_.load(std::memory_order_relaxed); }

  /// What the monitor finds: all workers sleep; those that do not, switch; some worker has not switched since last time.
  enum class Activity : std::uint8_t { Asleep, Switching, Stuck };
  /// Monitor's tick.
  Activity watch(std::int64_t now, std::vector<Stall>& stalls) noexcept;

  template <class Visit>
  void for_each_pool(Visit visit) {
    const std::lock_guard guard{pools_lock_};
    for (auto& pool : pools_) visit(*pool);
  }

 private:
  struct Watched {
    std::uint64_t switches = 0;
    std::int64_t stuck = 0;  // for so many nanoseconds, as far as the monitor was awake to see it
    bool known = false;
    bool reported = false;
  };

  void begin();
  void end() noexcept;
  void cancel_all() noexcept;
  void drive_here_or_beside(const Task* until);
  bool watch_worker(Worker& worker, Watched& seen, std::int64_t now, std::int64_t passed, std::vector<Stall>& stalls) noexcept;

  const Settings settings_;
  Reactor& reactor_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  GlobalQueue queue_;
  IdleSet idle_;
  std::atomic<int> poll_seat_{-1};
  std::atomic<bool> closing_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> driven_now_{false};
  std::atomic<std::uint64_t> started_outside_{0};
  std::atomic<std::uint32_t> visitors_{0};  // inside inject()

  std::mutex pools_lock_;
  std::vector<std::unique_ptr<StackPool>> pools_;  // guarded by pools_lock_
  StackPool* default_pool_ = nullptr;

  std::vector<Watched> watched_;  // the monitor's
  std::int64_t last_watch_ = 0;
  std::int64_t last_trim_ = 0;
};

/// Every scheduler, at the number of its reactor: where tools/gdb/weft-gdb.py begins.
extern Scheduler* all_schedulers[64];

/// As many workers as the process may use processors.
[[nodiscard]] unsigned default_workers();
/// The process's default scheduler, made on first use; never destroyed.
[[nodiscard]] Scheduler& default_scheduler();
void lock_default_scheduler_for_fork() noexcept;
void unlock_default_scheduler_after_fork() noexcept;
/// In a forked child: the parent's stays where it is, unused; the next use makes a new one.
void forget_default_scheduler() noexcept;

}  // namespace weft::detail
