#include <weft/detail/deadlock_settings.hpp>

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>

#include "engine/immortal.hpp"
#include "engine/fork.hpp"
#include "engine/monitor.hpp"
#include "engine/spin_lock.hpp"

namespace weft::detail {

namespace {

std::atomic<DeadlockPolicy> policy_now{DeadlockPolicy::Throw};
std::atomic<std::int64_t> standstill_after{0};

/// A hook that may be replaced while it is being called.
class Hook {
 public:
  void set(ReportHook hook) {
    auto shared = hook ? std::make_shared<ReportHook>(std::move(hook)) : nullptr;
    const std::lock_guard guard{lock_};
    hook_.swap(shared);
  }

  void operator()(const char* kind, const std::string& report) noexcept {
    try {
      if (const std::shared_ptr<ReportHook> hook = current()) {
        (*hook)(report);
        return;
      }
    } catch (const std::exception& error) {
      say(std::string{"weft: the hook for a "} + kind + " threw: " + error.what() + "\n");
    } catch (...) {
      say(std::string{"weft: the hook for a "} + kind + " threw\n");
    }
    say(std::string{"weft: "} + kind + ": " + report + "\n");
  }

  void lock_for_fork() noexcept { lock_.lock(); }
  void unlock_after_fork() noexcept { lock_.unlock(); }

 private:
  static void say(const std::string& text) noexcept {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
  }

  std::shared_ptr<ReportHook> current() {
    const std::lock_guard guard{lock_};
    return hook_;
  }

  SpinLock lock_;
  std::shared_ptr<ReportHook> hook_;  // guarded by lock_
};

constinit Immortal<Hook> deadlock_hook;
constinit Immortal<Hook> standstill_hook;

}  // namespace

DeadlockPolicy deadlock_policy() noexcept { return policy_now.load(std::memory_order_relaxed); }
void set_deadlock_policy(DeadlockPolicy policy) noexcept {
  policy_now.store(policy, std::memory_order_relaxed);
  monitor_watch_waits();  // what was only reported so far may be resolved now
}

std::int64_t standstill_reported_after() noexcept { return standstill_after.load(std::memory_order_relaxed); }
void set_standstill_reported_after(std::int64_t nanoseconds) {
  standstill_after.store(nanoseconds, std::memory_order_relaxed);
  if (nanoseconds > 0) monitor_watch_waits();
}

void set_deadlock_hook(ReportHook hook) { deadlock_hook.value.set(std::move(hook)); }
void set_standstill_hook(ReportHook hook) { standstill_hook.value.set(std::move(hook)); }

void report_deadlock(const std::string& report) noexcept {
  deadlock_hook.value("deadlock", report);
  if (deadlock_policy() == DeadlockPolicy::Abort) std::abort();
}
void report_standstill(const std::string& report) noexcept { standstill_hook.value("standstill", report); }

void lock_hooks_for_fork() noexcept {
  deadlock_hook.value.lock_for_fork();
  standstill_hook.value.lock_for_fork();
}

void unlock_hooks_after_fork() noexcept {
  standstill_hook.value.unlock_after_fork();
  deadlock_hook.value.unlock_after_fork();
}

}  // namespace weft::detail
