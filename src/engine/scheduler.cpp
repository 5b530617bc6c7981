// Compiled without ThreadSanitizer's instrumentation: see worker.hpp.

#include "engine/scheduler.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <utility>

#include <weft/base/error.hpp>

#include "engine/coarse_clock.hpp"
#include "engine/fork.hpp"
#include "engine/monitor.hpp"
#include "engine/reactor.hpp"
#include "engine/stall.hpp"
#include "engine/thread_context.hpp"
#include "port/futex.hpp"

namespace weft::detail {

namespace {

constexpr std::int64_t kTrimEvery = 1'000'000'000;
constexpr std::int64_t kStalledAfter = 100'000'000;
// On a machine that gives the monitor no time either, a worker is not to blame for what it did not do meanwhile.
constexpr std::int64_t kMostPerTick = 3'000'000;

Scheduler::Settings checked(Scheduler::Settings settings) {
  if (settings.workers == 0 || settings.workers > IdleSet::kMostWorkers) {
    throw Error{"a runtime has 1 to 64 workers, not " + std::to_string(settings.workers)};
  }
  settings.stack_bytes = whole_stack_pages(settings.stack_bytes);
  settings.migrate_always = settings.migrate_always || (port::kSanitized && settings.workers > 1);
  return settings;
}

void name_thread(std::thread& thread, const std::string& runtime, unsigned index) {
  const std::string name = (runtime.empty() ? "weft-" : runtime.substr(0, 10) + "-") + std::to_string(index);
  ::pthread_setname_np(thread.native_handle(), name.c_str());
}

}  // namespace

Scheduler* all_schedulers[64] = {};

// As the program starts: a child forked while another thread does this on first use would never be able to.
[[maybe_unused]] const bool fork_is_prepared = prepare_for_fork();

// libweft-patch.so looks for it in whatever program has an engine: never left behind in the archive.
[[maybe_unused, gnu::used]] const ForeignCalls* const for_patch = &weft_foreign_calls;

Scheduler::Scheduler(Settings settings)
    : settings_{checked(std::move(settings))}, reactor_{Reactor::take()}, watched_(settings_.workers) {
  pools_.push_back(std::make_unique<StackPool>(settings_.stack_bytes));
  default_pool_ = pools_.front().get();
  try {
    begin();
  } catch (...) {
    end();
    throw;
  }
}

void Scheduler::begin() {
  CoarseClock::update();  // the monitor may not have ticked yet
  for (unsigned i = 0; i < settings_.workers; ++i) {
    workers_.push_back(std::make_unique<Worker>(*this, i, settings_.workers == 1));
  }
  if (!settings_.driven) {
    for (auto& worker : workers_) {
      threads_.emplace_back([&w = *worker] { w.loop(nullptr); });
      name_thread(threads_.back(), settings_.name, worker->index());
    }
  }
  monitor_add(*this);
  all_schedulers[std::countr_zero(reactor_.bit())] = this;
}

void Scheduler::end() noexcept {
  monitor_remove(*this);
  stopping_.store(true, std::memory_order_seq_cst);
  wake_all();
  for (std::thread& thread : threads_) thread.join();
  port::sanitizer_acquire(this);  // what its fibers did precedes the end of what they used
  all_schedulers[std::countr_zero(reactor_.bit())] = nullptr;
  // Whoever made a fiber runnable from outside may still be on its way out of inject().
  Backoff backoff;
  while (visitors_.load(std::memory_order_acquire) != 0) backoff.pause();
  workers_.clear();  // give their stacks back before the pools go
  Reactor::give_back(reactor_);
}

Scheduler::~Scheduler() {
  closing_.store(true, std::memory_order_relaxed);
  // A fiber may catch its cancellation and block again, shielded: ask until all have ended.
  while (live() > 0) {
    cancel_all();
    if (settings_.driven) {
      stopping_.store(true, std::memory_order_seq_cst);  // run what is runnable, then come back
      drive_here_or_beside(nullptr);
      stopping_.store(false, std::memory_order_seq_cst);
    }
    if (live() > 0) {
      wake_all();
      ::usleep(100);
    }
  }
  end();
}

// A fiber of another runtime cannot be a worker of this one: its thread has a worker already.
void Scheduler::drive_here_or_beside(const Task* until) {
  if (current_context().is_fiber()) {
    std::thread{[&] { workers_.front()->loop(until); }}.join();
  } else {
    workers_.front()->loop(until);
  }
}

std::uint64_t Scheduler::live() const noexcept {
  // Ends first: a task is counted as started before it can end, so that equal sums mean that none was alive in between.
  std::uint64_t ended = 0;
  for (const auto& worker : workers_) ended += worker->ended();
  std::uint64_t started = started_outside_.load(std::memory_order_acquire);
  for (const auto& worker : workers_) started += worker->started();
  return started - ended;
}

void Scheduler::cancel_all() noexcept {
  for_each_pool([](StackPool& pool) { pool.for_each_bound([](FiberContext& fiber) { request_cancel(fiber); }); });
  for (auto& worker : workers_) worker->timers().start_tasks();
}

StackPool& Scheduler::stacks(std::size_t bytes) {
  bytes = whole_stack_pages(bytes);
  const std::lock_guard guard{pools_lock_};
  for (auto& pool : pools_) {
    if (pool->stack_bytes() == bytes) return *pool;
  }
  pools_.push_back(std::make_unique<StackPool>(bytes));
  return *pools_.back();
}

// ---- making runnable -------------------------------------------------------------------------------------------------

void Scheduler::start(Task& task) noexcept {
  port::sanitizer_release(&task);
  Worker* here = current_worker();
  if (here && &here->scheduler() == this) {
    here->count_started();
    here->push(task);
  } else {
    started_outside_.fetch_add(1, std::memory_order_acq_rel);
    TaskChain one;
    one.push_back(task);
    inject(one);
  }
}

void Scheduler::schedule(Task& task) noexcept {
  port::sanitizer_release(&task);
  Worker* here = current_worker();
  if (here && &here->scheduler() == this) {
    here->push(task);
  } else {
    TaskChain one;
    one.push_back(task);
    inject(one);
  }
}

// The order of these steps is the second table of idle_set.hpp.
void Scheduler::schedule_pinned(Worker& worker, Task& task) noexcept {
  port::sanitizer_release(&task);
  visitors_.fetch_add(1, std::memory_order_acq_rel);
  // A worker that does this itself is awake, whatever its bit says: the reactor it slept in may have told it so.
  if (worker.push_pinned(task) && &worker != current_worker() && idle_.has_announced(worker.index())) wake(worker.index());
  visitors_.fetch_sub(1, std::memory_order_acq_rel);
}

void Scheduler::inject(TaskChain chain) noexcept {
  // Once the task is in the queue it may run and end, and the scheduler be destroyed: not before we have left.
  visitors_.fetch_add(1, std::memory_order_acq_rel);
  queue_.push(chain);
  wake_one();
  visitors_.fetch_sub(1, std::memory_order_acq_rel);
}

void Scheduler::wake_one() noexcept {
  const int chosen = idle_.choose(poll_seat());
  if (chosen >= 0) wake(static_cast<unsigned>(chosen));
}

void Scheduler::wake(unsigned index) noexcept {
  Worker& worker = *workers_[index];
  // Read after seeing its bit, which it set after choosing its bed. If the bit was not claimed, this may be about a sleep that
  // is over; then nobody has to be woken.
  if (worker.bed.load(std::memory_order_relaxed) == Worker::Bed::Reactor) {
    reactor_.wake();
  } else {
    worker.wake_token.store(1, std::memory_order_release);
    port::futex_wake(port::futex_word(worker.wake_token));
  }
}

// Spurious for those that are awake; a worker going to sleep looks at the stop flag after announcing.
void Scheduler::wake_all() noexcept {
  reactor_.wake();
  for (auto& worker : workers_) {
    worker->call_attention();
    worker->wake_token.store(1, std::memory_order_release);
    port::futex_wake(port::futex_word(worker->wake_token));
  }
}

bool Scheduler::drive(const Task& task) {
  if (driven_now_.exchange(true, std::memory_order_acquire)) return false;
  workers_.front()->loop(&task);
  driven_now_.store(false, std::memory_order_release);
  return true;
}

// ---- the monitor's view ----------------------------------------------------------------------------------------------

Scheduler::Activity Scheduler::watch(std::int64_t now, std::vector<Stall>& stalls) noexcept {
  Activity activity = Activity::Asleep;
  const std::int64_t passed = std::min(now - std::exchange(last_watch_, now), kMostPerTick);
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i]->thread_id() == 0 || workers_[i]->asleep.load(std::memory_order_relaxed)) {
      watched_[i] = {workers_[i]->switches(), 0, true, false};
      workers_[i]->stuck.store(false, std::memory_order_relaxed);
      continue;
    }
    const bool stuck = watch_worker(*workers_[i], watched_[i], now, passed, stalls);
    activity = std::max(activity, stuck ? Activity::Stuck : Activity::Switching);
  }
  if (now - last_trim_ >= kTrimEvery) {
    last_trim_ = now;
    for_each_pool([](StackPool& pool) { pool.trim(); });
  }
  return activity;
}

bool Scheduler::watch_worker(Worker& worker, Watched& seen, std::int64_t now, std::int64_t passed,
                             std::vector<Stall>& stalls) noexcept {
  // Timers and sockets of workers that switch without a pause are looked at once a tick at least.
  const bool unattended = poll_seat() < 0;
  if (worker.timers().next_due() <= now || unattended) worker.call_attention();
  if (unattended && idle_.perhaps_sleeping()) wake_one();
  const std::uint64_t switches = worker.switches();
  if (switches != seen.switches || !seen.known) {
    seen = {switches, 0, true, false};
    worker.stuck.store(false, std::memory_order_relaxed);
    if (worker.ring().size() >= 2 && idle_.perhaps_sleeping()) wake_one();  // the hot path's hint may have missed it
    return false;
  }
  // It has run one fiber for a tick. Others may take what waits behind it, its timers, and its seat before the reactor.
  worker.stuck.store(true, std::memory_order_relaxed);
  if (worker.ring().size() > 0 || queue_.size() > 0 || worker.timers().next_due() <= now) wake_one();
  seen.stuck += passed;
  if (seen.stuck >= kStalledAfter && !seen.reported && worker.running()) {
    if (std::optional<Stall> stall = look_at_stall(worker, seen.stuck)) {
      seen.reported = true;
      stalls.push_back(*std::move(stall));
    }
  }
  return true;
}

// ---- the default one -------------------------------------------------------------------------------------------------

namespace {

std::atomic<Scheduler*> default_instance{nullptr};
std::mutex default_lock;

/// The processors this process may use, which in a container are fewer than the machine has.
unsigned usable_processors() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::clamp(static_cast<unsigned>(CPU_COUNT(&set)), 1U, IdleSet::kMostWorkers);
}

}  // namespace

unsigned default_workers() { return usable_processors(); }

Scheduler& default_scheduler() {
  if (Scheduler* made = default_instance.load(std::memory_order_acquire)) return *made;
  const std::lock_guard guard{default_lock};
  Scheduler* made = default_instance.load(std::memory_order_relaxed);
  if (!made) {
    Scheduler::Settings settings;
    settings.workers = usable_processors();
    made = new Scheduler{settings};
    default_instance.store(made, std::memory_order_release);
  }
  return *made;
}

void lock_default_scheduler_for_fork() noexcept { default_lock.lock(); }
void unlock_default_scheduler_after_fork() noexcept { default_lock.unlock(); }

void forget_default_scheduler() noexcept {
  default_instance.store(nullptr, std::memory_order_relaxed);
  std::fill(std::begin(all_schedulers), std::end(all_schedulers), nullptr);
}

}  // namespace weft::detail
