#include <weft/fiber/this_fiber.hpp>

#include <sched.h>

#include <weft/base/error.hpp>
#include <weft/detail/context.hpp>

#include "engine/fiber_context.hpp"
#include "engine/worker.hpp"

namespace weft {

using detail::Context;

void yield() {
  Context& self = detail::current_context();
  detail::check_cancelled(self);
  if (self.is_fiber()) {
    auto& fiber = static_cast<detail::FiberContext&>(self);
    fiber.worker->yield(fiber);
  } else {
    ::sched_yield();
  }
}

void idle() {
  Context& self = detail::current_context();
  if (!self.is_fiber()) {
    yield();
    return;
  }
  // The worker on whose thread this runs until it parks: so it cannot be asleep, and finds this entry before it falls asleep.
  detail::Idlers& idlers = static_cast<detail::FiberContext&>(self).worker->idlers();
  detail::Entry entry;
  if (!detail::arm(self, entry, detail::Interruptible::Yes)) detail::throw_interruption();
  idlers.enlist(entry);
  const detail::Outcome outcome = detail::park(self, {.kind = detail::WaitKind::Sleep}, Deadline::never());
  if (outcome == detail::kFired) return;
  idlers.withdraw(entry);
  detail::throw_interruption();
}

void sleep_until(Deadline deadline) {
  Context& self = detail::current_context();
  detail::Entry nobody;  // in no list: only the deadline or a kill ends the wait
  if (!detail::arm(self, nobody, detail::Interruptible::Yes)) detail::throw_interruption();
  detail::fence_before_park();
  if (detail::park(self, {.kind = detail::WaitKind::Sleep}, deadline) == detail::kInterrupted) detail::throw_interruption();
}

bool in_fiber() noexcept { return detail::current_context().is_fiber(); }

void check_cancelled() { detail::check_cancelled(detail::current_context()); }

}  // namespace weft
