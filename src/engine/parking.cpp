// How a wait begins, is decided and ends; the one place that asks whether a context is a thread or a fiber.

#include <sched.h>

#include <exception>

#include <weft/base/error.hpp>
#include <weft/detail/context.hpp>
#include <weft/detail/wait_list.hpp>

#include "engine/fiber_context.hpp"
#include "engine/scheduler.hpp"
#include "engine/thread_context.hpp"
#include "engine/timer_heap.hpp"
#include "engine/worker.hpp"

namespace weft::detail {

namespace {

FiberContext& as_fiber(Context& context) { return static_cast<FiberContext&>(context); }
ThreadContext& as_thread(Context& context) { return static_cast<ThreadContext&>(context); }

/// Decides the wait of `epoch` unless that is done. A parked fiber is settled at once: it can only run again when its
/// claimer schedules it. A thread, or a fiber that has not parked yet, might return by itself, so it stays Claimed,
/// and waits, until the claimer has let go of the object.
bool claim_context(Context& context, std::uint64_t epoch, Outcome outcome, bool& was_parked) noexcept {
  if (context.process != this_process()) return false;  // its thread did not come along through fork()
  std::uint64_t seen = context.waiter.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t state = word::state(seen);
    if (word::epoch(seen) != epoch || (state != word::kArmed && state != word::kParked)) return false;
    was_parked = state == word::kParked;
    const bool at_once = was_parked && context.is_fiber();
    const std::uint64_t decided =
        epoch | std::uint64_t{outcome} << word::kOutcomeShift | (at_once ? word::kSettled : word::kClaimed);
    // Acquire: what a parked fiber saved is ours to resume. Release: it sees what the claimer did before.
    if (context.waiter.compare_exchange_weak(seen, decided, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      return true;
    }
  }
}

void deliver_context(Context& context, bool was_parked) noexcept {
  if (context.is_fiber() && was_parked) {
    Task& task = *as_fiber(context).task.load(std::memory_order_relaxed);
    task.scheduler().schedule(task);
    return;
  }
  // Release: the claimer's last touch of the object. Nobody else changes a claimed word.
  context.waiter.store(context.waiter.load(std::memory_order_relaxed) & ~word::kStateMask, std::memory_order_release);
  if (!context.is_fiber() && was_parked) as_thread(context).wake();
}

Outcome settled_outcome(Context& self) noexcept {
  Backoff backoff;
  std::uint64_t seen = self.waiter.load(std::memory_order_acquire);
  while (word::state(seen) != word::kSettled) {
    backoff.pause();
    seen = self.waiter.load(std::memory_order_acquire);
  }
  return word::outcome(seen);
}

/// The context's own decision before it parks. False: somebody else's came first.
bool settle_armed(Context& self, Outcome outcome) noexcept {
  std::uint64_t seen = self.waiter.load(std::memory_order_relaxed);
  while (word::state(seen) == word::kArmed) {
    const std::uint64_t decided = word::epoch(seen) | std::uint64_t{outcome} << word::kOutcomeShift;
    if (self.waiter.compare_exchange_weak(seen, decided, std::memory_order_acq_rel, std::memory_order_relaxed)) return true;
  }
  return false;
}

bool still_armed(const Context& self) noexcept {
  return word::state(self.waiter.load(std::memory_order_relaxed)) == word::kArmed;
}

[[gnu::noinline]] Outcome park_fiber_until(FiberContext& self, Deadline deadline) noexcept {
  if (deadline.has_passed() && settle_armed(self, kTimedOut)) return kTimedOut;
  Timer timer;
  timer.entry.context = &self;
  timer.entry.epoch = word::epoch(self.waiter.load(std::memory_order_relaxed));
  self.worker->timers().add(timer, deadline.nanoseconds());
  if (still_armed(self)) self.worker->park(self);
  const Outcome outcome = settled_outcome(self);
  TimerHeap::remove(timer);
  return outcome;
}

Outcome park_fiber(FiberContext& self, Deadline deadline) noexcept {
  if (!deadline.is_never()) return park_fiber_until(self, deadline);
  if (still_armed(self)) self.worker->park(self);
  return settled_outcome(self);
}

}  // namespace

void Backoff::pause() noexcept {
  if (++rounds_ <= 64) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");
#endif
  } else {
    ::sched_yield();
  }
}

bool arm(Context& self, Entry& entry, Cancellable cancellable) noexcept {
  // Nothing throws Cancelled while another exception unwinds: that would end the program.
  const bool may_cancel = cancellable == Cancellable::Yes && std::uncaught_exceptions() == 0;
  if (may_cancel && self.cancel_requested()) return false;
  const std::uint64_t before = self.waiter.load(std::memory_order_relaxed);
  entry.context = &self;
  entry.epoch = word::epoch(before) + word::kEpochOne;
  // A plain store: while settled, the word is this context's own. A kill that comes now finds it armed, or is found by
  // the look at `cancel` after parking. The entry is published by the list it goes into.
  self.waiter.store(entry.epoch | (may_cancel ? 0 : word::kShielded) | word::kArmed, std::memory_order_relaxed);
  return true;
}

bool claim(Entry& entry, Outcome outcome) noexcept {
  return claim_context(*entry.context, entry.epoch, outcome, entry.was_parked);
}

void deliver(Entry& entry) noexcept { deliver_context(*entry.context, entry.was_parked); }

void deliver_all(Entry* first) noexcept {
  while (first) {
    Entry* next = first->next;  // read first: the entry is gone once delivered
    deliver(*first);
    first = next;
  }
}

bool disarm(Context& self) noexcept { return settle_armed(self, kFired); }

Outcome park(Context& self, WaitKind kind, const void* object, Deadline deadline) noexcept {
  if (killed_before_park(self)) return kCancelled;
  self.wait_object.store(object, std::memory_order_relaxed);
  self.wait_kind.store(kind, std::memory_order_relaxed);
  const Outcome outcome =
      self.is_fiber() ? park_fiber(as_fiber(self), deadline) : as_thread(self).park(deadline);
  self.wait_kind.store(WaitKind::None, std::memory_order_relaxed);
  return outcome;
}

void request_cancel(Context& context) noexcept {
  if (context.process != this_process()) return;
  context.cancel.store(true, std::memory_order_seq_cst);
  // The load must not be older than a park that missed the flag: a read-modify-write reads the newest.
  std::uint64_t seen = context.waiter.fetch_or(0, std::memory_order_seq_cst);
  for (;;) {
    const std::uint64_t state = word::state(seen);
    if ((state != word::kArmed && state != word::kParked) || (seen & word::kShielded)) return;
    const bool was_parked = state == word::kParked;
    const std::uint64_t decided = word::epoch(seen) | std::uint64_t{kCancelled} << word::kOutcomeShift |
                                  (was_parked && context.is_fiber() ? word::kSettled : word::kClaimed);
    if (context.waiter.compare_exchange_weak(seen, decided, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      deliver_context(context, was_parked);
      return;
    }
  }
}

void fence_before_park() noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }

bool killed_before_park(Context& self) noexcept {
#if !defined(__x86_64__)
  // On x86 taking the object's list bit, a locked instruction, was the full barrier after arm()'s store.
  fence_before_park();
#endif
  if (!self.cancel_requested()) [[likely]] return false;
  const bool shielded = (self.waiter.load(std::memory_order_relaxed) & word::kShielded) != 0;
  return !shielded && settle_armed(self, kCancelled);
}

void throw_cancelled() { throw Cancelled{}; }

void throw_timeout(const char* operation) {
  throw TimeoutError{std::string{operation} + ": the deadline passed"};
}

}  // namespace weft::detail
