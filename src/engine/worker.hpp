#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include <weft/detail/task.hpp>

#include "engine/fiber_context.hpp"
#include "engine/idlers.hpp"
#include "engine/run_queue.hpp"
#include "engine/timer_heap.hpp"

namespace weft::detail {

class Scheduler;

/// One OS thread that runs fibers, or the seat for one.
///
/// A fiber that stops picks its successor itself and switches straight to it. When nothing is runnable,
/// when the successor does not rest yet, and from time to time, it switches to the thread's own stack, where loop()
/// steals, polls and sleeps. What must happen after the registers of the
/// leaving fiber are saved (only then may others run it, or reuse its stack) is done by whoever runs next: settle().
///
/// This file and worker.cpp are compiled without ThreadSanitizer's instrumentation: fibers of one worker take turns with
/// its members, and its view of them as unordered threads would report every turn. Between tasks the order is stated by
/// annotations, so that their races are still seen.
class Worker {
 public:
  Worker(Scheduler& scheduler, unsigned index, bool solo);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// On the thread's own stack: runs fibers until `until` has ended, or, when null, until the scheduler stops.
  void loop(const Task* until);

  // On a fiber of this worker:
  void yield(FiberContext& self);
  void park(FiberContext& self);

  /// From this worker's thread: a fiber is runnable here.
  void push(Task& task) noexcept;

  /// Any thread: a fiber that is pinned to this worker is runnable. True: it may have to be woken for that.
  [[nodiscard]] bool push_pinned(Task& task) noexcept;

  /// A hint to look at timers, reactor and stop flags at the next switch. Any thread.
  void call_attention() noexcept { attention_.store(true, std::memory_order_relaxed); }

  Scheduler& scheduler() const noexcept { return scheduler_; }
  unsigned index() const noexcept { return index_; }
  TimerHeap& timers() noexcept { return timers_; }
  Idlers& idlers() noexcept { return idlers_; }
  RunRing& ring() noexcept { return ring_; }
  const RunRing& ring() const noexcept { return ring_; }
  [[nodiscard]] FiberContext* running() const noexcept { return running_.load(std::memory_order_relaxed); }
  [[nodiscard]] int thread_id() const noexcept { return thread_id_.load(std::memory_order_relaxed); }
  /// Of the fiber that runs here.
  [[nodiscard]] EhGlobals& exceptions_in_flight() const noexcept { return *thread_exceptions_; }
  [[nodiscard]] std::uint64_t switches() const noexcept { return switches_.load(std::memory_order_relaxed); }

  // Tasks started and ended here: two counters with one writer each instead of one that all workers would share.
  void count_started() noexcept { started_.store(started_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
  [[nodiscard]] std::uint64_t started() const noexcept { return started_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t ended() const noexcept { return ended_.load(std::memory_order_acquire); }

  // Sleeping and waking (idle_set.hpp). Written by the worker before it announces, read by whoever claimed it.
  enum class Bed : std::uint8_t { Futex, Reactor };
  std::atomic<Bed> bed{Bed::Futex};
  std::atomic<std::uint32_t> wake_token{0};
  std::atomic<bool> asleep{false};
  /// Set by the monitor while this worker has not switched for a tick: thieves may then take its last task and timers.
  std::atomic<bool> stuck{false};

 private:
  enum class Leave : std::uint8_t { Nothing, Yield, Park, Finish };

  static void fiber_main(void* worker);

  void count_switch() noexcept { switches_.store(switches() + 1, std::memory_order_relaxed); }
  void leave(FiberContext& self, Leave how, Task* next);
  void switch_to(SwitchPoint& from, SwitchPoint& to, FiberContext* next, bool for_good);
  void settle() noexcept;
  void order_fiber() noexcept;
  [[noreturn]] void run_tasks(FiberContext& self);

  void push_beyond_ring(Task& task) noexcept;
  [[nodiscard]] Task* pop() noexcept;
  [[nodiscard]] Task* pop_beyond_ring() noexcept;
  Task* next_task() noexcept;
  Task* next_task_with_checks() noexcept;
  FiberContext* fiber_of(Task& task) noexcept;
  [[nodiscard]] static bool comes_to_rest(const FiberContext& fiber) noexcept;
  FiberContext& bind(Task& task);
  Stack take_stack(std::size_t bytes);
  void keep_stack(Stack stack) noexcept;

  Task* find_work(const Task* until);
  [[nodiscard]] Task* take_pinned() noexcept;
  Task* take_injected() noexcept;
  Task* steal() noexcept;
  void fire_timers() noexcept;
  [[nodiscard]] bool attend_to_idlers() noexcept;
  void check_outside() noexcept;
  [[nodiscard]] bool work_in_sight() const noexcept;
  /// True: woken by somebody who counted this worker as searching.
  [[nodiscard]] bool sleep(const Task* until) noexcept;
  [[nodiscard]] bool must_return(const Task* until) const noexcept;

  static constexpr unsigned kCheckEvery = 64;
  static constexpr std::int64_t kPollEveryNanoseconds = 1'000'000;
  static constexpr std::size_t kKeptStacks = 32;

  Scheduler& scheduler_;
  const unsigned index_;
  const bool migrate_always_;

  // Touched at every switch.
  Context** current_slot_ = nullptr;  // this thread's notion of the current context
  EhGlobals* thread_exceptions_ = nullptr;
  FiberContext* leaving_ = nullptr;
  Leave leaving_how_ = Leave::Nothing;
  Task* set_aside_ = nullptr;  // taken from a queue, for loop() to run next
  unsigned until_check_ = kCheckEvery;
  std::atomic<bool> attention_{false};
  std::atomic<std::uint64_t> switches_{0};
  std::atomic<FiberContext*> running_{nullptr};
  std::atomic<std::uint64_t> started_{0};
  std::atomic<std::uint64_t> ended_{0};
  const Task* until_ = nullptr;  // loop() returns when this has ended
  Context* thread_context_ = nullptr;
  SwitchPoint own_stack_;
  const bool solo_;  // no thieves
  RunRing ring_;
  TaskChain backlog_;  // solo: what the ring cannot hold, all of it younger
  TaskChain pinned_;   // runnable fibers that may run nowhere else, taken from the inbox
  bool pinned_turn_ = false;

  std::int64_t last_poll_ = 0;
  std::uint32_t random_;
  std::size_t kept_ = 0;
  Stack kept_stacks_[kKeptStacks];
  TimerHeap timers_;
  Idlers idlers_;
  std::atomic<int> thread_id_{0};
  alignas(64) Inbox pinned_inbox_;
};

/// The worker whose thread this is, or null. Never inlined: see current_context().
[[nodiscard]] Worker* current_worker() noexcept;
/// In a forked child: this thread is nobody's worker any more.
void forget_worker() noexcept;

}  // namespace weft::detail
