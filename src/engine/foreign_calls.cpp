#include "engine/foreign_calls.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include <weft/detail/context.hpp>

#include "engine/fiber_context.hpp"
#include "engine/foreign_descriptors.hpp"
#include "engine/helper_pool.hpp"
#include "engine/patched.hpp"
#include "engine/worker.hpp"

namespace weft::detail {

namespace {

FiberContext* running_fiber() noexcept {
  const Worker* worker = current_worker();
  return worker ? worker->running() : nullptr;
}

/// While it lives, the calling fiber changes no worker.
class Pinned {
 public:
  Pinned() noexcept : fiber_{*running_fiber()} { fiber_.pinned = true; }
  ~Pinned() { fiber_.pinned = false; }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

  [[nodiscard]] FiberContext& fiber() const noexcept { return fiber_; }

 private:
  FiberContext& fiber_;
};

// Settled: its waiter word is free. Armed, it is inside the engine, which may call what is patched: pthread_mutex_lock.
bool on_fiber() noexcept {
  const FiberContext* fiber = running_fiber();
  return fiber && word::state(fiber->waiter.load(std::memory_order_relaxed)) == word::kSettled;
}

/// The entries of one wait for several descriptors.
class ForeignWait {
 public:
  ForeignWait(Context& self, Entry* entries) noexcept : self_{self}, entries_{entries} {
    (void)arm(self_, entries_[0], Interruptible::No);  // never refused
  }

  /// 0 or a negative errno.
  int add(unsigned fd, short events) noexcept {
    ForeignDescriptor* descriptor = ForeignDescriptor::at(fd);
    if (!descriptor) return -ENOMEM;
    Entry& entry = entries_[linked_];
    if (linked_ > 0) share_wait(entries_[0], entry, 0);
    const int result = descriptor->enlist(fd, entry, events);
    if (result < 0) return result;
    entry.payload = descriptor;
    ++linked_;
    return 0;
  }

  void give_up() noexcept {
    withdraw_all();
    disarm_granted(self_);
  }

  Outcome park_until(Deadline deadline, WaitKind kind) noexcept {
    fence_before_park();
    const Outcome outcome = park(self_, {.kind = kind}, deadline);
    withdraw_all();
    return outcome;
  }

 private:
  void withdraw_all() noexcept {
    for (std::size_t i = 0; i < linked_; ++i)
      static_cast<ForeignDescriptor*>(entries_[i].payload)->withdraw(entries_[i]);
  }

  Context& self_;
  Entry* entries_;
  std::size_t linked_ = 0;
};

int result_of(Outcome outcome) noexcept {
  switch (outcome) {
    case kFired:
      return 1;
    case kClosed:
      return -EBADF;
    default:
      return 0;
  }
}

WaitKind kind_of(const pollfd* polled, std::uint64_t count) noexcept {
  if (count == 0) return WaitKind::Sleep;
  return (polled[0].events & POLLOUT) != 0 ? WaitKind::Write : WaitKind::Read;
}

int wait(const pollfd* polled, std::uint64_t count, std::int64_t deadline) noexcept {
  constexpr std::size_t kFew = 4;
  Entry few[kFew];
  std::unique_ptr<Entry[]> many;
  if (count > kFew && !(many = std::unique_ptr<Entry[]>{new (std::nothrow) Entry[count]})) return -ENOMEM;
  if (const int result = watch_foreign_descriptors(); result < 0) return result;
  const Pinned pinned;
  ForeignWait waiting{pinned.fiber(), many ? many.get() : few};
  for (std::uint64_t i = 0; i < count; ++i) {
    if (polled[i].fd < 0) continue;
    const int result = waiting.add(static_cast<unsigned>(polled[i].fd), polled[i].events);
    // What epoll does not take, a regular file, is always ready, and one among several was looked at before.
    if (result == 0 || (result == -EPERM && count > 1)) continue;
    waiting.give_up();
    return result;
  }
  return result_of(waiting.park_until(Deadline::from_nanoseconds(deadline), kind_of(polled, count)));
}

// A deadline that has passed already: others run first, as sleep(0) promises to whoever polls by it.
void sleep_until(std::int64_t deadline) noexcept {
  const Pinned pinned;
  Entry nobody;  // in no list: only the deadline ends it
  ForeignWait sleep{pinned.fiber(), &nobody};
  if (Deadline::from_nanoseconds(deadline).has_passed() && claim(nobody, kFired)) deliver(nobody);
  (void)sleep.park_until(Deadline::from_nanoseconds(deadline), WaitKind::Sleep);
}

bool run_on_helper(void (*job)(void*), void* argument, ForeignCalls::Helpers which) noexcept {
  const Pinned pinned;
  Context& self = pinned.fiber();
  Entry entry;
  (void)arm(self, entry, Interruptible::No);
  try {
    HelperPool& helpers = which == ForeignCalls::Helpers::Resolver ? resolver_helpers() : blocking_helpers();
    helpers.submit([&] {
      job(argument);
      if (claim(entry, kFired)) deliver(entry);
    });
  } catch (...) {
    (void)disarm(self);
    return false;
  }
  (void)park(self, {.kind = WaitKind::Blocking}, Deadline::never());
  return true;
}

ForeignLocks* locks() noexcept {
  FiberContext* fiber = running_fiber();
  return fiber ? &fiber->foreign_locks : nullptr;
}

void name(char* text, std::uint64_t size) noexcept {
  const FiberContext& fiber = *running_fiber();
  char given[ContextName::kMost + 1];
  fiber.name.copy_to(given);
  if (given[0] != '\0') {
    std::snprintf(text, size, "%s", given);
  } else {
    std::snprintf(text, size, "Fiber-%llu", static_cast<unsigned long long>(fiber.id));
  }
}

std::atomic<const char* const*> unpatched_names{nullptr};
std::atomic<std::uint64_t> unpatched_count{0};
std::atomic<bool> is_patched{false};

void patched(const char* const* unpatched, std::uint64_t count) noexcept {
  unpatched_names.store(unpatched, std::memory_order_relaxed);
  unpatched_count.store(count, std::memory_order_relaxed);
  is_patched.store(true, std::memory_order_release);
}

}  // namespace

bool patch_is_active() noexcept {
  return is_patched.load(std::memory_order_acquire);
}

std::pair<const char* const*, std::size_t> unpatched_calls() noexcept {
  if (!patch_is_active()) return {nullptr, 0};
  return {unpatched_names.load(std::memory_order_relaxed), unpatched_count.load(std::memory_order_relaxed)};
}

}  // namespace weft::detail

extern "C" {
[[gnu::used, gnu::visibility("default")]] extern const weft::detail::ForeignCalls weft_foreign_calls = {
    .version = weft::detail::ForeignCalls::kVersion,
    .on_fiber = weft::detail::on_fiber,
    .wait = weft::detail::wait,
    .sleep_until = weft::detail::sleep_until,
    .run_on_helper = weft::detail::run_on_helper,
    .closing = weft::detail::foreign_closing,
    .closed = weft::detail::foreign_closed,
    .locks = weft::detail::locks,
    .name = weft::detail::name,
    .patched = weft::detail::patched,
};
}
