#include <weft/detail/task.hpp>

#include <cstdio>
#include <utility>

#include <weft/base/error.hpp>

#include "base/cause.hpp"
#include "engine/enlisted_wait.hpp"
#include "engine/fiber_context.hpp"
#include "engine/greenlets.hpp"
#include "engine/helper_pool.hpp"
#include "engine/locals.hpp"
#include "engine/scheduler.hpp"
#include "engine/task_aside.hpp"
#include "engine/thread_context.hpp"
#include "port/sanitizer.hpp"

namespace weft::detail {

namespace {

// A fiber is ended by nobody but itself.
std::size_t runner(const void* task, std::uint64_t* ids, std::size_t) noexcept {
  ids[0] = static_cast<const Task*>(task)->id();
  return 1;
}

// What it has of its own. Twice, for the greenlets that destructors of Locals made.
void end_belongings(FiberContext& fiber) noexcept {
  if (fiber.greenlets) end_greenlets(fiber);
  if (fiber.locals) end_locals(fiber);
  if (fiber.greenlets) end_greenlets(fiber);
}

}  // namespace

Task::Task() : id_{next_context_id()} {}

Task::~Task() {
  if (!disposed_on_its_fiber_) return;
  // The result's destructor may have used Locals, and greenlets. They may block as long as the fiber has its task.
  failure_ = nullptr;
  end_belongings(*fiber());
}

std::string Task::name() const {
  Guard guard{const_cast<std::atomic<std::uint32_t>&>(state_)};
  return aside_ && aside_->name ? *aside_->name : "Fiber-" + std::to_string(id_);
}

// Nothing is allocated or destroyed while the bit is held.
template <class Change>
auto Task::change_aside(Change change) {
  auto spare = std::make_unique<TaskAside>();
  Guard guard{state_};
  if (!aside_) aside_ = std::move(spare);
  return change(*aside_, guard);
}

void Task::set_name(std::string name) {
  std::optional<std::string> replacement{std::move(name)};
  change_aside([&](TaskAside& aside, Guard& guard) {
    aside.name.swap(replacement);
    if (guard.value() & kDone) return;
    if (FiberContext* fiber = fiber_.load(std::memory_order_relaxed)) fiber->name.set(*aside.name);
  });
}

bool Task::join_until(Deadline deadline) {
  if (!done()) {
    Context& self = current_context();
    if (self.id == id_) throw InvalidStateError{"join: fiber \"" + name() + "\" cannot wait for its own end"};
    const bool in_time =
        wait_enlisted(self, {.kind = WaitKind::Join, .object = this, .holders = &runner}, deadline,
                      [this](Entry& entry) { return enlist(entry); }, [this](Entry& entry) { withdraw(entry); });
    if (!in_time) return false;
  }
  take_notice();
  return true;
}

bool Task::enlist(Entry& entry) noexcept {
  Guard guard{state_};
  if (guard.value() & kDone) return false;
  waiters_.push_back(entry);
  guard.set_value(guard.value() | kWaiters);
  return true;
}

void Task::withdraw(Entry& entry) noexcept {
  Guard guard{state_};
  if (entry.linked) waiters_.remove(entry);
}

void Task::throw_failure() {
  if (unwound_) throw CancelledError{"fiber \"" + name() + "\" was killed"};
  // Taken out: whoever catches it is then the last to hold it, and destroys it, not the worker that ends this task.
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

std::exception_ptr Task::failure() const {
  if (unwound_) return std::make_exception_ptr(CancelledError{"fiber \"" + name() + "\" was killed"});
  return failure_;
}

void Task::kill() noexcept {
  bool to_start = false;
  {
    // While the list bit is held and the task is not done, its context exists: finish() says "done" under the same bit.
    // So does the heap that its start waits in.
    Guard guard{state_};
    if (guard.value() & (kDone | kEnded)) return;
    guard.set_value(guard.value() | kKilled);
    if (FiberContext* fiber = fiber_.load(std::memory_order_relaxed)) {
      request_cancel(*fiber);
    } else if (TaskDelay* delay = aside_ ? aside_->delay.get() : nullptr) {
      to_start = delay->process == this_process() && delay->timer.home && TimerHeap::remove(delay->timer);
    }
  }
  if (to_start) start_now();
}

// ---- a later start ---------------------------------------------------------------------------------------------------

void Task::set_start(Deadline start) {
  auto delay = std::make_unique<TaskDelay>();
  delay->start = start;
  delay->process = this_process();
  delay->timer.entry.payload = this;
  change_aside([&](TaskAside& aside, Guard&) { aside.delay = std::move(delay); });
  delayed_ = true;
}

// For ThreadSanitizer: it comes here and goes on through the worker's own code, which is not instrumented.
bool Task::wait_in(TimerHeap& timers) noexcept {
  port::sanitizer_acquire(this);
  Guard guard{state_};
  TaskDelay& delay = *aside_->delay;
  if ((guard.value() & kKilled) || scheduler_->closing() || delay.start.has_passed()) {
    delayed_ = false;
    return false;
  }
  // Under the bit: a kill finds it in the heap, or was seen above. Whoever takes it out may run it at once, but for that
  // he needs the bit.
  port::sanitizer_release(this);
  timers.add(delay.timer, delay.start.nanoseconds());
  return true;
}

void Task::start_now() noexcept {
  port::sanitizer_acquire(this);
  delayed_ = false;
  scheduler_->schedule(*this);
}

// ---- links -----------------------------------------------------------------------------------------------------------

std::uint64_t Task::link(LinkFor whom, LinkCall call) {
  auto link = std::make_unique<TaskLink>(whom, std::move(call));
  const std::uint64_t number = change_aside([&](TaskAside& aside, Guard& guard) -> std::uint64_t {
    if (guard.value() & kDone) return 0;
    guard.set_value(guard.value() | kLinked);
    return aside.append(std::move(link));
  });
  if (number == 0) this->call(*link);
  return number;
}

bool Task::unlink(std::uint64_t number) noexcept {
  std::unique_ptr<TaskLink> link;  // destroyed when the bit is free
  Guard guard{state_};
  if (aside_) link = aside_->take(number);
  return link != nullptr;
}

std::unique_ptr<TaskLink> Task::take_link() noexcept {
  Guard guard{state_};
  std::unique_ptr<TaskLink> link = aside_->take_first();
  if (!link) guard.set_value(guard.value() & ~kLinked);
  return link;
}

// On the fiber that has ended: they may block like any code of its own, and whoever wanted its end has got it.
void Task::run_links() noexcept {
  FiberContext* self = fiber();
  if (self) self->cancel.fetch_and(~Context::kKilled, std::memory_order_relaxed);
  while (const std::unique_ptr<TaskLink> link = take_link()) call(*link);
  if (self) end_belongings(*self);
}

void Task::call(TaskLink& link) noexcept {
  if (link.whom != LinkFor::AnyEnd && (link.whom == LinkFor::Value) != succeeded()) return;
  try {
    link.call(*this);
  } catch (const Cancelled&) {
  } catch (...) {
    std::fprintf(stderr, "weft: a link of fiber \"%s\" threw an exception: %s\n", name().c_str(),
                 cause_of(std::current_exception()).c_str());
  }
}

// A task without a stack ends where a worker looks for the next one, which is no place to block. False: it has to.
bool Task::leave_links_to_helper() noexcept {
  if (fiber() || !current_worker()) return false;
  try {
    blocking_helpers().submit([this] { finish(); });
    return true;
  } catch (...) {
    return false;
  }
}

// ---- its life --------------------------------------------------------------------------------------------------------

bool Task::begin(FiberContext& fiber) noexcept {
  Guard guard{state_};
  fiber_.store(&fiber, std::memory_order_relaxed);
  if (aside_ && aside_->name) fiber.name.set(*aside_->name);
  return (guard.value() & kKilled) == 0;
}

void Task::run(bool killed) noexcept {
  if (killed) {
    abandon();
    unwound_ = true;
  } else {
    try {
      execute();
    } catch (const Cancelled&) {
      unwound_ = true;
    } catch (...) {
      failure_ = std::current_exception();
    }
  }
  // Before anybody learns of the end.
  if (FiberContext& self = *fiber(); self.locals || self.greenlets) [[unlikely]] end_belongings(self);
}

void Task::fail_to_start(std::exception_ptr why) noexcept {
  abandon();
  failure_ = std::move(why);
  finish();
}

// What it is bound to stays: a destructor that blocks while the last reference goes still runs on that context.
void Task::finish() noexcept {
  Entry* waiters = nullptr;
  for (;;) {
    Guard guard{state_};
    if (guard.value() & kLinked) [[unlikely]] {
      guard.set_value(guard.value() | kEnded);
      guard.release();
      if (leave_links_to_helper()) return;
      run_links();
      continue;  // others may have been added
    }
    waiters = waiters_.claim_all();
    guard.set_value((guard.value() & ~kWaiters) | kDone);
    break;
  }
  deliver_all(waiters);
  if (!drop_reference()) return;
  disposed_on_its_fiber_ = fiber() != nullptr;
  dispose();
}

void Task::dispose() noexcept {
  if (failure_ && !noticed_.load(std::memory_order_relaxed)) report_uncaught();
  delete this;
}

void Task::report_uncaught() noexcept {
  std::fprintf(stderr, "weft: fiber \"%s\" ended with an exception that nobody waited for: %s\n", name().c_str(),
               cause_of(failure_).c_str());
}

void submit(Scheduler& scheduler, Task& task) noexcept {
  task.attach(scheduler);
  scheduler.start(task);
}

Scheduler& current_scheduler() {
  Context& self = current_context();
  if (self.is_fiber()) return static_cast<FiberContext&>(self).worker->scheduler();
  return default_scheduler();
}

}  // namespace weft::detail
