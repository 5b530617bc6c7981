#include <weft/detail/task.hpp>

#include <cstdio>
#include <utility>

#include <weft/base/error.hpp>

#include "engine/fiber_context.hpp"
#include "engine/greenlets.hpp"
#include "engine/locals.hpp"
#include "engine/scheduler.hpp"
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
  return name_ ? *name_ : "Fiber-" + std::to_string(id_);
}

void Task::set_name(std::string name) {
  auto replacement = std::make_unique<std::string>(std::move(name));
  Guard guard{state_};
  name_.swap(replacement);
  if (guard.value() & kDone) return;
  if (FiberContext* fiber = fiber_.load(std::memory_order_relaxed)) fiber->name.set(*name_);
}

bool Task::join_until(Deadline deadline) {
  if (!done()) {
    Context& self = current_context();
    if (self.id == id_) throw InvalidStateError{"join: fiber \"" + name() + "\" cannot wait for its own end"};
    Entry entry;
    if (!arm(self, entry, Interruptible::Yes)) throw_interruption();
    if (!enlist(entry)) {
      // Not linked, so only a kill can have decided it, and the fiber has ended: both are true, the grant wins.
      disarm_granted(self);
      take_notice();
      return true;
    }
    const Outcome outcome = park(self, {.kind = WaitKind::Join, .object = this, .holders = &runner}, deadline);
    if (outcome != kFired) {
      withdraw(entry);
      if (outcome == kInterrupted) throw_interruption();
      return false;
    }
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

void Task::kill() noexcept {
  // While the list bit is held and the task is not done, its context exists: finish() says "done" under the same bit.
  Guard guard{state_};
  if (guard.value() & kDone) return;
  guard.set_value(guard.value() | kKilled);
  if (FiberContext* fiber = fiber_.load(std::memory_order_relaxed)) request_cancel(*fiber);
}

bool Task::begin(FiberContext& fiber) noexcept {
  Guard guard{state_};
  fiber_.store(&fiber, std::memory_order_relaxed);
  if (name_) fiber.name.set(*name_);
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
  {
    Guard guard{state_};
    waiters = waiters_.claim_all();
    guard.set_value((guard.value() & ~kWaiters) | kDone);
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
  std::string cause = "an exception that is not a std::exception";
  try {
    std::rethrow_exception(failure_);
  } catch (const std::exception& error) {
    cause = error.what();
  } catch (...) {
  }
  std::fprintf(stderr, "weft: fiber \"%s\" ended with an exception that nobody waited for: %s\n", name().c_str(),
               cause.c_str());
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
