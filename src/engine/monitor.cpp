#include "engine/monitor.hpp"

#include <pthread.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/immortal.hpp"
#include "engine/scheduler.hpp"
#include "engine/stall.hpp"
#include "port/futex.hpp"
#include "port/signals.hpp"

namespace weft::detail {

namespace {

using Activity = Scheduler::Activity;

// Each look costs a busy core some microseconds. A worker that gets stuck is found after the slower tick, twice that at worst.
constexpr std::int64_t kTick = 1'000'000;
constexpr std::int64_t kTickWhileSwitching = 5'000'000;
constexpr std::int64_t kTickWhileAsleep = 100'000'000;
constexpr int kQuietTicksBeforeSleep = 16;

struct Monitor {
  std::mutex lock;
  std::vector<Scheduler*> schedulers;  // guarded by lock
  bool started = false;                // guarded by lock
  std::atomic<std::uint32_t> asleep{0};
};

Monitor& monitor() {
  static constinit Immortal<Monitor> instance;
  return instance.value;
}

Activity watch_all() {
  Monitor& m = monitor();
  std::vector<Stall> stalls;
  Activity activity = Activity::Asleep;
  {
    const std::lock_guard guard{m.lock};
    const std::int64_t now = Deadline::now_nanoseconds();
    for (Scheduler* scheduler : m.schedulers) activity = std::max(activity, scheduler->watch(now, stalls));
  }
  // Without the lock: naming a place takes the dynamic linker's lock, under which another thread may make a runtime.
  for (const Stall& stall : stalls) report(stall);
  return activity;
}

void run() {
  Monitor& m = monitor();
  std::int64_t tick = kTick;
  int quiet = 0;
  for (;;) {
    port::futex_wait(port::futex_word(m.asleep), 0, Deadline::after(Duration{tick}));
    if (const Activity activity = watch_all(); activity != Activity::Asleep) {
      quiet = 0;
      tick = activity == Activity::Stuck ? kTick : std::min(tick * 2, kTickWhileSwitching);
      continue;
    }
    tick = std::min(tick * 2, kTickWhileAsleep);
    if (++quiet < kQuietTicksBeforeSleep) continue;
    // A worker that wakes between the check above and this store is noticed one tick late: look once more.
    m.asleep.store(1, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (watch_all() != Activity::Asleep) {
      m.asleep.store(0, std::memory_order_relaxed);
    } else {
      while (m.asleep.load(std::memory_order_acquire) == 1) port::futex_wait(port::futex_word(m.asleep), 1, {});
    }
    quiet = 0;
    tick = kTick;
  }
}

void start_thread() {
  const port::SignalsBlocked blocked;  // signals of the program are not for this thread
  std::thread thread{run};
  ::pthread_setname_np(thread.native_handle(), "weft-monitor");
  thread.detach();
}

}  // namespace

void monitor_add(Scheduler& scheduler) {
  Monitor& m = monitor();
  {
    const std::lock_guard guard{m.lock};
    m.schedulers.reserve(m.schedulers.size() + 1);
    if (!m.started) start_thread();
    m.started = true;
    m.schedulers.push_back(&scheduler);
  }
  monitor_notice_activity();
}

void monitor_remove(Scheduler& scheduler) noexcept {
  Monitor& m = monitor();
  const std::lock_guard guard{m.lock};
  std::erase(m.schedulers, &scheduler);
}

void monitor_notice_activity() noexcept {
  Monitor& m = monitor();
  if (m.asleep.load(std::memory_order_relaxed) == 0) return;
  if (m.asleep.exchange(0, std::memory_order_acq_rel) == 1) port::futex_wake(port::futex_word(m.asleep));
}

void monitor_lock_for_fork() noexcept { monitor().lock.lock(); }

void monitor_unlock_after_fork(bool child) noexcept {
  Monitor& m = monitor();
  if (child) {
    m.schedulers.clear();
    m.started = false;
    m.asleep.store(0, std::memory_order_relaxed);
    forget_stalls();
  }
  m.lock.unlock();
}

}  // namespace weft::detail
