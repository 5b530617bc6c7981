#include <weft/sync/condition.hpp>

#include <weft/base/error.hpp>

namespace weft {

using detail::Context;
using detail::Entry;

bool Condition::wait_until(std::unique_lock<Lock>& guard, Deadline deadline) {
  if (!guard.owns_lock() || guard.mutex()->owner() != detail::current_context_id()) {
    throw InvalidStateError{"wait on a Condition: the caller does not hold the lock it passed"};
  }
  Context& self = detail::current_context();
  Entry entry;
  if (!detail::arm(self, entry, detail::Cancellable::Yes)) detail::throw_cancelled();
  {
    Guard list{state_};
    waiters_.push_back(entry);
    list.set_value(list.value() | kWaiters);
  }
  // Linked before the lock is free: a notification by whoever takes it next finds us.
  guard.mutex()->unlock();
  const detail::Outcome outcome = detail::park(self, detail::WaitKind::Condition, this, deadline);
  if (outcome != detail::kFired) {
    Guard list{state_};
    if (entry.linked) waiters_.remove(entry);
    if (waiters_.empty()) list.set_value(list.value() & ~kWaiters);
  }
  guard.mutex()->lock();
  if (outcome == detail::kCancelled) detail::throw_cancelled();
  return outcome == detail::kFired;
}

void Condition::notify(std::size_t count) noexcept {
  // Acquire pairs with the link above: a waiter that let go of the lock before we took it is seen.
  if (state_.load(std::memory_order_acquire) == 0) return;
  Entry* notified = nullptr;
  Entry** last = &notified;
  {
    Guard list{state_};
    while (count-- > 0) {
      Entry* waiter = waiters_.claim_front();
      if (!waiter) break;
      *last = waiter;
      last = &waiter->next;
    }
    if (waiters_.empty()) list.set_value(list.value() & ~kWaiters);
  }
  detail::deliver_all(notified);
}

}  // namespace weft
