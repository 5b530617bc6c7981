#include "engine/monitor.hpp"

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <vector>

#include <weft/detail/deadlock_settings.hpp>

#include "engine/coarse_clock.hpp"
#include "engine/deadlock.hpp"
#include "engine/engine_thread.hpp"
#include "engine/far_watch.hpp"
#include "engine/immortal.hpp"
#include "engine/scheduler.hpp"
#include "engine/stall.hpp"
#include "engine/thread_context.hpp"
#include "port/futex.hpp"

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
  DeadlockWatch deadlocks;             // guarded by lock
  std::atomic<bool> started{false};    // written under lock
  /// Something has happened since the last tick that the monitor may have to look into, even if all sleep again by then.
  std::atomic<bool> stirred{false};
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
  CoarseClock::update();
  {
    const std::lock_guard guard{m.lock};
    const std::int64_t now = CoarseClock::now();
    for (Scheduler* scheduler : m.schedulers) activity = std::max(activity, scheduler->watch(now, stalls));
  }
  // Without the lock: naming a place takes the dynamic linker's lock, under which another thread may make a runtime.
  for (const Stall& stall : stalls) report(stall);
  return activity;
}

// Reports go out without the lock; what they tell of is resolved at the next look, which makes sure of it once more.
void look_for_deadlocks() {
  Monitor& m = monitor();
  for (;;) {
    std::vector<WaitReport> reports;
    std::optional<WaitReport> standstill;
    {
      const std::lock_guard guard{m.lock};
      const std::int64_t now = Deadline::now_nanoseconds();
      reports = m.deadlocks.look(m.schedulers, now);
      if (reports.empty()) standstill = m.deadlocks.look_for_standstill(m.schedulers, now);
    }
    if (standstill) report_standstill(standstill->text());
    if (reports.empty()) return;
    for (const WaitReport& report : reports) {
      std::string text = report.text();
      report_deadlock(text);
      const std::lock_guard guard{m.lock};
      m.deadlocks.remember(report.signature(), std::move(text));
    }
  }
}

bool may_rest_after(std::int64_t moment) {
  Monitor& m = monitor();
  const std::lock_guard guard{m.lock};
  return m.deadlocks.may_rest_after(moment);
}

FarWatch::Bell far_bell() {
  Monitor& m = monitor();
  const std::lock_guard guard{m.lock};
  return far_watch() ? far_watch()->bell() : FarWatch::Bell{};
}

// Until somebody of this process takes the flag back, or another process rings: what that one has found concerns waits that are told of.
void sleep_until_stirred(std::atomic<std::uint32_t>& asleep) {
  const FarWatch::Bell bell = far_bell();
  const port::FutexWord words[] = {{port::futex_word(asleep), 1, false},
                                   {bell.word ? port::futex_word(*bell.word) : nullptr, bell.seen, true}};
  while (asleep.load(std::memory_order_acquire) == 1) {
    // Before Linux 5.16 two words cannot be waited for.
    const int result = port::futex_wait_any(words, bell.word ? 2 : 1, Deadline::never());
    if (result == -ENOSYS || result == -EPERM) {
      port::futex_wait(words[0].address, 1, bell.word ? Deadline::after(Duration{kTickWhileAsleep}) : Deadline::never());
    }
    if (bell.has_rung()) asleep.store(0, std::memory_order_relaxed);
  }
}

void run() {
  Monitor& m = monitor();
  std::int64_t tick = kTick;
  int quiet = 0;
  std::int64_t quiet_since = 0;
  for (;;) {
    port::futex_wait(port::futex_word(m.asleep), 0, Deadline::after(Duration{tick}));
    if (m.stirred.exchange(false, std::memory_order_relaxed) || far_bell().has_rung()) quiet = 0;
    if (quiet == 0) quiet_since = Deadline::now_nanoseconds();
    look_for_deadlocks();
    if (const Activity activity = watch_all(); activity != Activity::Asleep) {
      quiet = 0;
      tick = activity == Activity::Stuck ? kTick : std::min(tick * 2, kTickWhileSwitching);
      continue;
    }
    tick = std::min(tick * 2, kTickWhileAsleep);
    if (++quiet < kQuietTicksBeforeSleep || standstill_reported_after() > 0) continue;
    // Looks at many fibers are far apart: the last waits may not have had theirs.
    if (!may_rest_after(quiet_since)) continue;
    // Whoever stirs sets his flag and looks at ours, with a full barrier in between on both sides: one sees the other.
    m.asleep.store(1, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (watch_all() != Activity::Asleep || m.stirred.load(std::memory_order_relaxed)) {
      m.asleep.store(0, std::memory_order_relaxed);
    } else {
      sleep_until_stirred(m.asleep);
    }
    quiet = 0;
    tick = kTick;
  }
}

void start(Monitor& m) {
  if (m.started.load(std::memory_order_relaxed)) return;
  start_engine_thread("weft-monitor", run);
  m.started.store(true, std::memory_order_release);
}

}  // namespace

void monitor_watch_waits() noexcept {
  Monitor& m = monitor();
  if (!m.started.load(std::memory_order_acquire)) {
    try {
      const std::lock_guard guard{m.lock};
      start(m);
    } catch (...) {
      return;  // no thread to be had now; the next wait tries again
    }
  }
  monitor_notice_activity();
}

void monitor_add(Scheduler& scheduler) {
  Monitor& m = monitor();
  {
    const std::lock_guard guard{m.lock};
    m.schedulers.reserve(m.schedulers.size() + 1);
    start(m);
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
  if (m.stirred.load(std::memory_order_relaxed)) return;  // since the last tick, and whoever did so has woken it
  m.stirred.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (m.asleep.load(std::memory_order_relaxed) == 0) return;
  if (m.asleep.exchange(0, std::memory_order_acq_rel) == 1) port::futex_wake(port::futex_word(m.asleep));
}

void monitor_lock_for_fork() noexcept { monitor().lock.lock(); }

void monitor_unlock_after_fork(bool child) noexcept {
  Monitor& m = monitor();
  if (child) {
    m.schedulers.clear();
    m.deadlocks = {};
    m.started.store(false, std::memory_order_relaxed);
    m.asleep.store(0, std::memory_order_relaxed);
    m.stirred.store(false, std::memory_order_relaxed);
    forget_stalls();
  }
  m.lock.unlock();
}

}  // namespace weft::detail
