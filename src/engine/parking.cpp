// How a wait begins, is decided and ends: the one place where a thread and a fiber differ in that.

#include <sched.h>

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/detail/context.hpp>
#include <weft/detail/time_limit.hpp>
#include <weft/detail/wait_list.hpp>

#include "engine/coarse_clock.hpp"
#include "engine/fiber_context.hpp"
#include "engine/monitor.hpp"
#include "engine/scheduler.hpp"
#include "engine/thread_context.hpp"
#include "engine/timer_heap.hpp"
#include "engine/worker.hpp"
#include "port/processor.hpp"
#include "port/sanitizer.hpp"

namespace weft::detail {

namespace {

FiberContext& as_fiber(Context& context) { return static_cast<FiberContext&>(context); }
ThreadContext& as_thread(Context& context) { return static_cast<ThreadContext&>(context); }

bool is_undecided(std::uint64_t seen) noexcept {
  return word::state(seen) == word::kArmed || word::state(seen) == word::kParked;
}

/// Decides the undecided wait that `seen` tells of; on failure `seen` is what the word has become. A fiber is settled at
/// once: it runs again when its claimer has scheduled it, not before, though it may still be on its way to rest. A thread
/// that has not fallen asleep returns by itself, so it stays Claimed, and waits, until the claimer lets go of the object.
bool try_decide(Context& context, std::uint64_t& seen, Outcome outcome) noexcept {
  const std::uint64_t decided = word::epoch(seen) | (seen & word::kPinned) | std::uint64_t{outcome} << word::kOutcomeShift |
                                (context.is_fiber() ? word::kSettled : word::kClaimed);
  // Release: it sees what the claimer did before.
  return context.waiter.compare_exchange_weak(seen, decided, std::memory_order_acq_rel, std::memory_order_relaxed);
}

/// Decides the wait of this epoch. False: somebody else has, or it was an earlier one.
bool decide(Context& context, std::uint64_t epoch, Outcome outcome, bool& was_parked) noexcept {
  std::uint64_t seen = context.waiter.load(std::memory_order_relaxed);
  while (word::epoch(seen) == epoch && is_undecided(seen)) {
    was_parked = word::state(seen) == word::kParked;
    if (try_decide(context, seen, outcome)) return true;
  }
  return false;
}

void deliver_context(Context& context, bool was_parked) noexcept {
  if (context.is_fiber()) {
    FiberContext& fiber = as_fiber(context);
    Task& task = *fiber.task.load(std::memory_order_relaxed);
    if (fiber.pinned) [[unlikely]] {
      task.scheduler().schedule_pinned(*fiber.worker, task);
    } else {
      task.scheduler().schedule(task);
    }
    return;
  }
  // Release: the claimer's last touch of the object. Nobody else changes a claimed word, but for the pin.
  context.waiter.fetch_and(~word::kStateMask, std::memory_order_release);
  if (was_parked) as_thread(context).wake();
}

bool settle_armed(Context& self, Outcome outcome) noexcept { return settle_own(self, word::kArmed, outcome); }

Outcome park_fiber(FiberContext& self) noexcept {
  // Decided already or not, it comes back through a run queue: whoever decides schedules it.
  self.worker->park(self);
  return word::outcome(self.waiter.load(std::memory_order_acquire));
}

[[gnu::noinline]] Outcome park_fiber_until(FiberContext& self, Deadline deadline) noexcept {
  if (deadline.has_passed() && settle_armed(self, kTimedOut)) return kTimedOut;
  Timer timer;
  timer.entry.context = &self;
  timer.entry.epoch = word::epoch(self.waiter.load(std::memory_order_relaxed));
  self.worker->timers().add(timer, deadline.nanoseconds());
  const Outcome outcome = park_fiber(self);
  TimerHeap::remove(timer);
  return outcome;
}

// As std::uncaught_exceptions(); on a fiber, without the calls that it takes to find them.
WEFT_PER_THREAD bool unwinding(const Context& self) noexcept {
  if (!self.is_fiber()) return std::uncaught_exceptions() != 0;
  return static_cast<const FiberContext&>(self).worker->exceptions_in_flight().uncaught != 0;
}

}  // namespace

bool settle_own(Context& self, std::uint64_t from, Outcome outcome) noexcept {
  std::uint64_t seen = self.waiter.load(std::memory_order_relaxed);
  while (word::state(seen) == from) {
    const std::uint64_t decided = word::epoch(seen) | (seen & word::kPinned) | std::uint64_t{outcome} << word::kOutcomeShift;
    if (self.waiter.compare_exchange_weak(seen, decided, std::memory_order_acq_rel, std::memory_order_relaxed)) return true;
  }
  return false;
}

void Backoff::pause() noexcept {
  if (++rounds_ <= 64) {
    port::processor_pause();
  } else {
    ::sched_yield();
  }
}

bool arm(Context& self, Entry& entry, Interruptible interruptible) noexcept {
  std::uint64_t flags = word::kShielded | word::kCannotThrow;
  // Nothing is thrown while another exception unwinds: that would end the program.
  if (interruptible != Interruptible::No && self.shields == 0 && !unwinding(self)) {
    flags = interruptible == Interruptible::Yes ? 0 : word::kShielded;
    if (flags == 0 && (self.cancel_requested() || self.scope_deadline.has_passed())) return false;
  }
  const std::uint64_t before = self.waiter.load(std::memory_order_relaxed);
  entry.context = &self;
  entry.epoch = word::epoch(before) + word::kEpochOne;
  // A plain store: while settled, and not pinned, the word is this context's own. A kill that comes now finds it armed, or is
  // found by the look at `cancel` after parking. The entry is published by the list it goes into. Release: whoever pins
  // this wait does not find the record of an earlier one.
  self.waiter.store(entry.epoch | flags | word::kArmed, std::memory_order_release);
  return true;
}

bool claim(Entry& entry, Outcome outcome) noexcept {
  Context& context = *entry.context;
  if (context.process != this_process()) return false;  // its thread did not come along through fork()
  return decide(context, entry.epoch, outcome, entry.was_parked);
}

void deliver(Entry& entry) noexcept { deliver_context(*entry.context, entry.was_parked); }

void deliver_all(Entry* first) noexcept {
  while (first) {
    Entry* next = first->next;  // read first: the entry is gone once delivered
    deliver(*first);
    first = next;
  }
}

// Acquire: what the pinner read, it read before we go on.
void wait_for_unpinned(const Context& self) noexcept {
  Backoff backoff;
  while (self.waiter.load(std::memory_order_acquire) & word::kPinned) backoff.pause();
}

bool disarm(Context& self) noexcept {
  if (!settle_armed(self, kFired)) return false;
  wait_for_unpinned(self);
  return true;
}

void disarm_granted(Context& self) noexcept {
  if (!disarm(self)) (void)park(self, {}, Deadline::never());
}

PublishedWait::PublishedWait(Context& self, Wait& wait, Deadline deadline, const void* frame) noexcept : self_{self} {
  wait.timed = !deadline.is_never();
  wait.frame = frame;
  wait.since = self.is_fiber() ? CoarseClock::now() : Deadline::now_nanoseconds();
  const bool held_up = wait.holders && !wait.timed;
  if (held_up) self.held_up.store(true, std::memory_order_relaxed);
  self.wait.store(&wait, std::memory_order_release);
  // A fiber's worker was awake until now, and the monitor with it.
  if (held_up && !self.is_fiber()) monitor_watch_waits();
}

PublishedWait::~PublishedWait() {
  self_.wait.store(nullptr, std::memory_order_relaxed);
  if (self_.held_up.load(std::memory_order_relaxed)) self_.held_up.store(false, std::memory_order_relaxed);
  wait_for_unpinned(self_);
}

Outcome park(Context& self, Wait wait, Deadline deadline) noexcept {
  if (killed_before_park(self)) return kInterrupted;
  const ScopedDeadline until{self, deadline};
  const PublishedWait published{self, wait, until.deadline(), __builtin_frame_address(0)};
  return until.judge(!self.is_fiber()                ? as_thread(self).park(until.deadline())
                     : until.deadline().is_never() ? park_fiber(as_fiber(self))
                                                   : park_fiber_until(as_fiber(self), until.deadline()));
}

ScopedDeadline::ScopedDeadline(const Context& self, Deadline own) noexcept : deadline_{own} {
  if (self.scope_deadline >= own || (self.waiter.load(std::memory_order_relaxed) & word::kShielded)) return;
  deadline_ = self.scope_deadline;
  is_scopes_ = true;
}

Pin::Pin(Context& context) noexcept : context_{context} {
  if (context.process != this_process()) return;
  Backoff backoff;
  std::uint64_t seen = context.waiter.load(std::memory_order_relaxed);
  while (is_undecided(seen)) {
    if (seen & word::kPinned) {
      backoff.pause();
      seen = context.waiter.load(std::memory_order_relaxed);
    } else if (context.waiter.compare_exchange_weak(seen, seen | word::kPinned, std::memory_order_acq_rel,
                                                    std::memory_order_relaxed)) {
      pinned_ = true;
      break;
    }
  }
  if (!pinned_) return;
  seen_ = seen;
  // From this wait, since an earlier one's was taken back before the word said what it says now (arm's release), and no
  // later one can begin (disarm(), ~PublishedWait). Null: it has not parked yet.
  wait_ = context.wait.load(std::memory_order_acquire);
}

Pin::~Pin() {
  // Release: pairs with wait_for_unpinned().
  if (pinned_) context_.waiter.fetch_and(~word::kPinned, std::memory_order_release);
}

namespace {

// After `cancel` was changed, by a full barrier.
void interrupt_if_allowed(Context& context) noexcept {
  // The load must not be older than a park that missed the flag: a read-modify-write reads the newest.
  std::uint64_t seen = context.waiter.fetch_or(0, std::memory_order_seq_cst);
  while (is_undecided(seen) && !(seen & word::kShielded)) {
    const bool was_parked = word::state(seen) == word::kParked;
    if (try_decide(context, seen, kInterrupted)) {
      deliver_context(context, was_parked);
      return;
    }
  }
}

}  // namespace

void request_cancel(Context& context) noexcept {
  if (context.process != this_process()) return;
  context.cancel.fetch_or(Context::kKilled, std::memory_order_seq_cst);
  interrupt_if_allowed(context);
}

void stop_scope(Context& context) noexcept {
  if (context.process != this_process()) return;
  context.cancel.fetch_add(Context::kStoppedScope, std::memory_order_seq_cst);
  interrupt_if_allowed(context);
}

void forget_stopped_scope(Context& self) noexcept { self.cancel.fetch_sub(Context::kStoppedScope, std::memory_order_relaxed); }

bool interrupt_for_deadlock(Context& context, std::uint64_t id, std::uint64_t epoch, std::string report) {
  auto verdict = std::make_unique<std::string>(std::move(report));
  bool was_parked = false;
  {
    // Pinned, it cannot leave this wait: a verdict that comes too late is not found by a later one.
    const Pin pin{context};
    if (!pin || context.id != id || word::epoch(pin.seen()) != epoch || (pin.seen() & word::kCannotThrow)) return false;
    context.verdict.store(verdict.get(), std::memory_order_relaxed);
    if (!decide(context, epoch, kInterrupted, was_parked)) {
      context.verdict.store(nullptr, std::memory_order_relaxed);
      return false;
    }
  }
  (void)verdict.release();  // it is the victim's now
  deliver_context(context, was_parked);
  return true;
}

void fence_before_park() noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }

bool killed_before_park(Context& self) noexcept {
#if !defined(__x86_64__)
  // On x86 taking the object's list bit, a locked instruction, was the full barrier after arm()'s store.
  fence_before_park();
#endif
  if (!self.cancel_requested()) [[likely]] return false;
  const bool shielded = (self.waiter.load(std::memory_order_relaxed) & word::kShielded) != 0;
  if (shielded || !settle_armed(self, kInterrupted)) return false;
  wait_for_unpinned(self);
  return true;
}

void check_cancelled(const Context& self) {
  if (!self.cancel_requested() && !self.scope_deadline.has_passed()) [[likely]] return;
  if (self.shields == 0 && std::uncaught_exceptions() == 0) throw_interruption();
}

void throw_interruption() {
  Context& self = current_context();
  if (const std::unique_ptr<std::string> verdict{self.verdict.exchange(nullptr, std::memory_order_acquire)}) {
    throw DeadlockError{*verdict};
  }
  if (!self.cancel_requested() && self.scope_deadline.has_passed()) TimeLimit::throw_expired(self);
  // Acquire: what was stored before the scope was stopped is seen by who sees that.
  std::atomic_thread_fence(std::memory_order_acquire);
  if (const int signal = std::abs(self.interrupted_by.load(std::memory_order_relaxed))) {
    self.interrupted_by.store(-signal, std::memory_order_relaxed);
    throw KeyboardInterrupt{signal};
  }
  throw Cancelled{};
}

void throw_timeout(const char* operation) {
  throw TimeoutError{std::string{operation} + ": the deadline passed"};
}

}  // namespace weft::detail
