#include <weft/sync/condition.hpp>

#include <weft/base/error.hpp>

namespace weft {

using detail::Context;
using detail::Entry;

namespace {

template <class L>
void check_held(const std::unique_lock<L>& guard) {
  if (!guard.owns_lock() || guard.mutex()->owner() != detail::current_context_id()) {
    throw InvalidStateError{"wait on a Condition: the caller does not hold the lock it passed"};
  }
}

}  // namespace

template <class Release, class Retake>
bool Condition::wait_released(Deadline deadline, Release release, Retake retake) {
  Context& self = detail::current_context();
  Entry entry;
  if (!detail::arm(self, entry, detail::Interruptible::Yes)) detail::throw_interruption();
  {
    Guard list{state_};
    waiters_.push_back(entry);
    list.set_value(list.value() | kWaiters);
  }
  // Linked before the lock is free: a notification by whoever takes it next finds us.
  release();
  const detail::Outcome outcome = detail::park(self, {detail::WaitKind::Condition, this, label_}, deadline);
  if (outcome != detail::kFired) {
    Guard list{state_};
    if (entry.linked) waiters_.remove(entry);
    if (waiters_.empty()) list.set_value(list.value() & ~kWaiters);
  }
  retake();
  if (outcome == detail::kInterrupted) detail::throw_interruption();
  return outcome == detail::kFired;
}

bool Condition::wait_until(std::unique_lock<Lock>& guard, Deadline deadline) {
  check_held(guard);
  Lock& lock = *guard.mutex();
  return wait_released(deadline, [&] { lock.unlock(); }, [&] { lock.lock_again(); });
}

bool Condition::wait_until(std::unique_lock<RLock>& guard, Deadline deadline) {
  check_held(guard);
  RLock& lock = *guard.mutex();
  std::uint64_t depth = 0;
  return wait_released(deadline, [&] { depth = lock.release_all(); }, [&] { lock.take_again(depth); });
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
