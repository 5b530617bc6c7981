// Compiled without ThreadSanitizer's instrumentation: see worker.hpp.

#include "engine/worker.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "engine/coarse_clock.hpp"
#include "engine/greenlets.hpp"
#include "engine/monitor.hpp"
#include "engine/overflow.hpp"
#include "engine/reactor.hpp"
#include "engine/scheduler.hpp"
#include "engine/thread_context.hpp"
#include "port/context_switch.hpp"
#include "port/futex.hpp"
#include "port/processor.hpp"

namespace weft::detail {

namespace {

thread_local Worker* this_worker = nullptr;

bool is_fresh(const Task& task) { return task.fiber() == nullptr; }

}  // namespace

[[gnu::noinline]] Worker* current_worker() noexcept {
  asm volatile("");  // never merged with an earlier call
  return this_worker;
}

void forget_worker() noexcept { this_worker = nullptr; }

Worker::Worker(Scheduler& scheduler, unsigned index, bool solo)
    : scheduler_{scheduler},
      index_{index},
      migrate_always_{scheduler.settings().migrate_always},
      solo_{solo},
      ring_{solo},
      random_{0x9E3779B9u * (index + 1)} {}

Worker::~Worker() {
  for (std::size_t i = 0; i < kept_; ++i) scheduler_.default_stacks().release(&kept_stacks_[i], 1);
}

// ---- switching ------------------------------------------------------------------------------------------------------

// For ThreadSanitizer: the thread made its own variables, errno among them, before any fiber came to it, and fibers of a
// single worker take turns (decision 006).
inline void Worker::order_fiber() noexcept {
  port::sanitizer_acquire(&own_stack_);
  if (solo_) port::sanitizer_acquire(this);
}

inline void Worker::switch_to(SwitchPoint& from, SwitchPoint& to, FiberContext* next, bool for_good) {
  count_switch();
  running_.store(next, std::memory_order_relaxed);
  *current_slot_ = next ? static_cast<Context*>(next) : thread_context_;
  from.exceptions = *thread_exceptions_;
  *thread_exceptions_ = to.exceptions;
  if (next) {
    next->worker = this;
    next->resting.store(false, std::memory_order_relaxed);
  }
  if (solo_) port::sanitizer_release(this);  // for order_fiber()
  port::sanitizer_before_switch(from.sanitizer, to.sanitizer, for_good);
  auto* now = static_cast<Worker*>(port::weft_switch_context(&from.saved, to.saved, this));
  // Another thread may be running us now: `this` is where we left, `now` where we are.
  port::sanitizer_after_switch(from.sanitizer);
  now->order_fiber();
  now->settle();
}

void Worker::leave(FiberContext& self, Leave how, Task* next) {
  leaving_ = &self;
  leaving_how_ = how;
  FiberContext* to = next ? fiber_of(*next) : nullptr;
  if (to && to->resting.load(std::memory_order_acquire)) [[likely]] {
    switch_to(self, *to, to, how == Leave::Finish);
    return;
  }
  // The successor is still leaving another worker. Waiting for it here could be for ever: that worker's successor may be
  // `self`. loop() waits, when `self` rests.
  set_aside_ = to ? next : nullptr;
  switch_to(self, own_stack_, nullptr, how == Leave::Finish);
}

inline void Worker::settle() noexcept {
  FiberContext* left = leaving_;
  switch (leaving_how_) {
    case Leave::Nothing:
      return;
    case Leave::Yield: {
      leaving_how_ = Leave::Nothing;
      Task* task = left->task.load(std::memory_order_relaxed);
      left->resting.store(true, std::memory_order_release);
      push(*task);
      return;
    }
    case Leave::Park:
      leaving_how_ = Leave::Nothing;
      // Release: whoever takes it from a queue finds its registers saved. From here on it may run elsewhere, and end.
      left->resting.store(true, std::memory_order_release);
      return;
    case Leave::Finish: {
      leaving_how_ = Leave::Nothing;
      const Stack stack = left->stack;
      port::sanitizer_end(left->sanitizer);
      left->~FiberContext();
      keep_stack(stack);
      return;
    }
  }
}

void Worker::yield(FiberContext& self) {
  // A task that runs through the shared queue when migration is forced: going there is what "next" means then.
  Task* next = next_task();
  if (next) {
    leave(self, Leave::Yield, next);
  } else if (attention_.load(std::memory_order_relaxed) || migrate_always_) {
    leave(self, Leave::Yield, nullptr);
  }
}

// Between its arming and its rest a fiber may have been taken by another worker, which waits for it: nothing here may take
// long. What has to be looked at from time to time is left to loop().
void Worker::park(FiberContext& self) {
  if (--until_check_ == 0) {
    until_check_ = kCheckEvery;
    call_attention();
  }
  leave(self, Leave::Park, attention_.load(std::memory_order_relaxed) ? nullptr : pop());
  port::sanitizer_acquire(self.task.load(std::memory_order_relaxed));
}

// ---- the life of a fiber --------------------------------------------------------------------------------------------

void Worker::fiber_main(void* passed) {
  auto& worker = *static_cast<Worker*>(passed);
  FiberContext& self = *worker.running();
  port::sanitizer_after_switch(self.sanitizer);
  port::sanitizer_acquire(self.stack.bottom);
  worker.order_fiber();
  worker.settle();
  worker.run_tasks(self);
}

// A finished fiber hands its stack, still warm, to the next one that has none yet, without a switch.
void Worker::run_tasks(FiberContext& self) {
  for (;;) {
    Task* task = self.task.load(std::memory_order_relaxed);
    port::sanitizer_acquire(task);
    task->run(!task->begin(self) || current_worker()->scheduler_.closing());
    // Null in a forked child, where the fiber that called fork() was the program: it ends as main() would.
    if (!current_worker()) std::exit(0);
    const bool was_awaited = current_worker()->until_ == task;
    // The context keeps its task meanwhile: the last reference may go here, and a destructor of the user's may block.
    task->finish();
    self.task.store(nullptr, std::memory_order_release);
    Worker* now = current_worker();
    if (!now) std::exit(0);  // a link may have called fork(), too
    now->ended_.store(now->ended() + 1, std::memory_order_release);
    if (was_awaited) now->call_attention();
    Task* next = now->next_task();
    const bool inherits = next && is_fresh(*next) && !next->delayed() && !port::kThreadSanitizer &&
                          (next->stack_bytes() == 0 ? now->scheduler_.settings().stack_bytes : next->stack_bytes()) ==
                              self.stack.bytes;
    if (!inherits) {
      port::sanitizer_release(self.stack.bottom);
      port::sanitizer_release(&now->scheduler_);
      now->leave(self, Leave::Finish, next);
    }
    now->count_switch();
    port::reset_floating_point();
    self.id = next->id();
    self.name.clear();
    self.foreign_locks.count = 0;
    self.cancel.store(0, std::memory_order_relaxed);  // it was not this fiber that was asked to end
    self.task.store(next, std::memory_order_release);
  }
}

// Null: it is not to start yet, or there is no stack for it; that is its failure, and it has ended.
FiberContext* Worker::fiber_of(Task& task) noexcept {
  if (!is_fresh(task)) return task.fiber();
  if (task.delayed() && task.wait_in(timers_)) [[unlikely]] return nullptr;
  try {
    return &bind(task);
  } catch (...) {
    task.fail_to_start(std::current_exception());
    ended_.store(ended() + 1, std::memory_order_release);
    return nullptr;
  }
}

FiberContext& Worker::bind(Task& task) {
  const Stack stack = take_stack(task.stack_bytes());
  void* place = fiber_context_place(stack);
  auto* fiber = ::new (place) FiberContext{stack, task, task.id()};
  {
    const port::UnseenWrites unseen;
    fiber->saved = port::make_context(place, &Worker::fiber_main);
  }
  fiber->resting.store(true, std::memory_order_relaxed);
  port::sanitizer_begin(fiber->sanitizer, stack.bottom + port::page_bytes(), stack.bytes - port::page_bytes());
  return *fiber;
}

Stack Worker::take_stack(std::size_t bytes) {
  if (bytes != 0 && bytes != scheduler_.settings().stack_bytes) {
    Stack stack;
    scheduler_.stacks(bytes).acquire(&stack, 1);
    return stack;
  }
  if (kept_ == 0) kept_ = scheduler_.default_stacks().acquire(kept_stacks_, kKeptStacks / 2);
  return kept_stacks_[--kept_];
}

void Worker::keep_stack(Stack stack) noexcept {
  if (stack.bytes != scheduler_.settings().stack_bytes) {
    scheduler_.stacks(stack.bytes).release(&stack, 1);
    return;
  }
  if (kept_ == kKeptStacks) {
    kept_ -= kKeptStacks / 2;
    scheduler_.default_stacks().release(kept_stacks_ + kept_, kKeptStacks / 2);
  }
  kept_stacks_[kept_++] = stack;
}

// ---- what runs next -------------------------------------------------------------------------------------------------

void Worker::push(Task& task) noexcept {
  if (migrate_always_) {
    TaskChain one;
    one.push_back(task);
    scheduler_.inject(one);
    return;
  }
  if (backlog_.first || !ring_.push(&task)) [[unlikely]] {
    push_beyond_ring(task);
    return;
  }
  // One task wakes nobody: this worker will run it as soon as the running fiber stops, which is sooner than another
  // could. If it does not stop, the monitor wakes a thief. A second task is worth another worker.
  if (scheduler_.idle().perhaps_sleeping() && ring_.size() >= 2) scheduler_.wake_one();
}

// It stands in no ring, whence thieves could take it, and is seen from loop() only: the way between two fibers need not know.
bool Worker::push_pinned(Task& task) noexcept {
  const bool first = pinned_inbox_.push(task);
  // Release: whoever is attentive because of this sees the task.
  attention_.store(true, std::memory_order_release);
  return first;
}

// Where others help, half of the ring goes to them. Where nobody does, the order is kept.
void Worker::push_beyond_ring(Task& task) noexcept {
  if (solo_) {
    backlog_.push_back(task);
    return;
  }
  TaskChain shed;
  for (std::uint32_t i = 0; i < RunRing::kCapacity / 2; ++i) {
    if (Task* oldest = ring_.pop()) shed.push_back(*oldest);
  }
  shed.push_back(task);
  scheduler_.inject(shed);
}

inline Task* Worker::pop() noexcept {
  Task* task = ring_.pop();
  return task || !backlog_.first ? task : pop_beyond_ring();
}

Task* Worker::pop_beyond_ring() noexcept {
  Task* first = backlog_.pop_front();
  while (backlog_.first && ring_.size() < RunRing::kCapacity) ring_.push(backlog_.pop_front());
  return first;
}

inline Task* Worker::next_task() noexcept {
  if (--until_check_ == 0 || attention_.load(std::memory_order_relaxed)) return next_task_with_checks();
  return pop();
}

// Not before every switch: the shared queue would be a shared cache line, the clock and the reactor would cost more
// than the switch.
Task* Worker::next_task_with_checks() noexcept {
  until_check_ = kCheckEvery;
  if (attention_.load(std::memory_order_relaxed)) return nullptr;  // loop() will look at everything
  check_outside();
  if (Task* injected = take_injected()) return injected;
  return pop();
}

void Worker::check_outside() noexcept {
  const std::int64_t now = Deadline::now_nanoseconds();
  if (timers_.next_due() <= now) timers_.fire_due(now);
  // Only in the seat: a wake-up meant for whoever sleeps there must not be taken by somebody passing.
  if (now - last_poll_ > kPollEveryNanoseconds && scheduler_.take_poll_seat(index_)) {
    last_poll_ = now;
    scheduler_.reactor().poll(Deadline::already());
    scheduler_.leave_poll_seat();
  }
}

Task* Worker::take_injected() noexcept {
  const std::uint32_t waiting = scheduler_.queue().size();
  if (waiting == 0) return nullptr;
  const auto workers = static_cast<std::uint32_t>(scheduler_.workers().size());
  const std::uint32_t room = RunRing::kCapacity - ring_.size();
  const std::uint32_t share = migrate_always_ ? 1 : std::min({waiting / workers + 1, room, RunRing::kCapacity / 2});
  if (share == 0) return nullptr;
  TaskChain taken = scheduler_.queue().pop(share);
  Task* first = taken.pop_front();
  while (Task* task = taken.pop_front()) ring_.push(task);
  return first;
}

// ---- the thread's own stack -----------------------------------------------------------------------------------------

void Worker::loop(const Task* until) {
  Context& thread = current_context();
  monitor_notice_activity();
  this_worker = this;
  thread_context_ = &thread;
  std::atomic<bool>& of_engine = static_cast<ThreadContext&>(thread).of_engine;
  const bool was_of_engine = of_engine.exchange(true, std::memory_order_relaxed);
  current_slot_ = &current_context_slot();
  thread_exceptions_ = thread_eh_globals();
  thread_id_.store(::gettid(), std::memory_order_relaxed);
  const ThreadStack own = stack_in_use(thread);  // of a greenlet, perhaps
  port::sanitizer_adopt_thread(own_stack_.sanitizer, own.bottom, own.bytes);
  port::sanitizer_release(&own_stack_);  // for order_fiber()
  const OverflowGuard overflow_guard;  // stacks that overflow are named from a stack of their own
  // The kernel's default slack lets a sleep of microseconds take 50 more.
  const int slack = ::prctl(PR_GET_TIMERSLACK);
  ::prctl(PR_SET_TIMERSLACK, 1000);
  until_ = until;

  while (Task* task = find_work(until)) {
    FiberContext* to = fiber_of(*task);
    if (!to) continue;
    if (!comes_to_rest(*to)) {
      push(*task);  // its former worker is held up, by the kernel most likely; others need not wait for it
      continue;
    }
    leaving_how_ = Leave::Nothing;
    switch_to(own_stack_, *to, to, false);
  }

  ::prctl(PR_SET_TIMERSLACK, slack);
  until_ = nullptr;
  thread_id_.store(0, std::memory_order_relaxed);
  of_engine.store(was_of_engine, std::memory_order_relaxed);
  this_worker = nullptr;
}

// Nanoseconds away, normally.
bool Worker::comes_to_rest(const FiberContext& fiber) noexcept {
  constexpr int kPatience = 100;
  for (int i = 0; i < kPatience; ++i) {
    if (fiber.resting.load(std::memory_order_acquire)) return true;
    port::processor_pause();
  }
  ::sched_yield();
  return fiber.resting.load(std::memory_order_acquire);
}

bool Worker::must_return(const Task* until) const noexcept { return until ? until->done() : scheduler_.stopping(); }

Task* Worker::find_work(const Task* until) {
  if (set_aside_) return std::exchange(set_aside_, nullptr);
  IdleSet& idle = scheduler_.idle();
  bool searching = false;  // counted in the idle set
  Task* task = nullptr;
  for (;;) {
    const bool look_around = attention_.load(std::memory_order_relaxed);
    if (look_around) {
      attention_.exchange(false, std::memory_order_acq_rel);
      check_outside();
    }
    if (until && until->done()) break;
    fire_timers();
    task = take_pinned();
    if (!task && look_around) task = take_injected();  // before its own: a full ring must not keep others waiting
    if (!task && !migrate_always_) task = pop();
    if (!task) task = take_injected();
    if (!task) task = pinned_.pop_front();
    if (!task && scheduler_.workers().size() > 1) {
      // Half of the workers searching is enough: more would only contend for the same rings.
      if (!searching && 2 * idle.searching() < scheduler_.workers().size()) {
        idle.start_searching();
        searching = true;
      }
      if (searching) task = steal();
    }
    if (task) break;
    if (searching) {
      idle.stop_searching();
      searching = false;
    }
    if (must_return(until)) break;
    if (attend_to_idlers()) continue;
    searching = sleep(until);
  }
  // The last to stop looking hands the duty on: pushes were silent while it looked.
  if (searching && idle.stop_searching() && (scheduler_.queue().size() > 0 || ring_.size() > 0)) scheduler_.wake_one();
  return task;
}

// Pinned fibers and all others take turns, so that neither keep the others waiting for ever. Null: none, or not their turn.
Task* Worker::take_pinned() noexcept {
  pinned_inbox_.move_to(pinned_);
  if (!pinned_.first) return nullptr;
  pinned_turn_ = !pinned_turn_;
  Task* task = pinned_turn_ ? pinned_.pop_front() : nullptr;
  if (pinned_.first) call_attention();  // only loop() sees the next one
  return task;
}

void Worker::fire_timers() noexcept {
  if (timers_.next_due() == INT64_MAX) return;
  const std::int64_t now = Deadline::now_nanoseconds();
  while (timers_.fire_due(now)) {
  }
}

// True: somebody waits for that nothing is left to do; it may have turned out that something is. Not even what a look at the sockets
// makes runnable must be.
bool Worker::attend_to_idlers() noexcept {
  if (!idlers_.waiting()) return false;
  if (scheduler_.take_poll_seat(index_)) {
    scheduler_.reactor().poll(Deadline::already());
    scheduler_.leave_poll_seat();
  }
  if (ring_.size() == 0 && !work_in_sight()) idlers_.release();
  return true;
}

Task* Worker::steal() noexcept {
  auto& workers = scheduler_.workers();
  random_ = random_ * 1664525u + 1013904223u;
  const auto count = static_cast<std::uint32_t>(workers.size());
  const std::uint32_t start = (random_ >> 16) % count;
  for (std::uint32_t i = 0; i < count; ++i) {
    Worker& victim = *workers[(start + i) % count];
    if (&victim == this) continue;
    const bool is_stuck = victim.stuck.load(std::memory_order_relaxed);
    if (is_stuck && victim.timers_.next_due() != INT64_MAX) {
      victim.timers_.fire_due(Deadline::now_nanoseconds());
      if (Task* woken = ring_.pop()) return woken;
    }
    if (victim.ring_.steal_into(ring_, is_stuck) > 0) return ring_.pop();
  }
  return nullptr;
}

bool Worker::work_in_sight() const noexcept {
  if (scheduler_.queue().size() > 0 || !pinned_inbox_.empty() || pinned_.first) return true;
  for (const auto& other : scheduler_.workers()) {
    const std::uint32_t tasks = other->ring_.size();
    if (tasks >= 2 || (tasks == 1 && other->stuck.load(std::memory_order_relaxed))) return true;
  }
  return false;
}

// The order of these steps is the protocol of idle_set.hpp.
bool Worker::sleep(const Task* until) noexcept {
  const bool seated = scheduler_.take_poll_seat(index_);
  bed.store(seated ? Bed::Reactor : Bed::Futex, std::memory_order_relaxed);
  wake_token.store(0, std::memory_order_relaxed);
  asleep.store(true, std::memory_order_relaxed);
  scheduler_.idle().announce(index_);
  if (!work_in_sight() && !must_return(until) && !attention_.load(std::memory_order_relaxed)) {
    const Deadline deadline = Deadline::from_nanoseconds(timers_.next_due());
    if (seated) {
      scheduler_.reactor().poll(deadline);
    } else {
      port::futex_wait(port::futex_word(wake_token), 0, deadline);
    }
  }
  asleep.store(false, std::memory_order_relaxed);
  CoarseClock::update();
  // Either the monitor, about to sleep, sees that this worker is awake, or this worker sees that it must be woken.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  monitor_notice_activity();
  if (seated) scheduler_.leave_poll_seat();
  return scheduler_.idle().withdraw(index_);
}

}  // namespace weft::detail
