#include <weft/sync/event.hpp>

#include "engine/enlisted_wait.hpp"

namespace weft {

using detail::Entry;

void Event::set() noexcept {
  std::uint32_t expected = 0;
  // Nobody waits: one step, after which the event may be gone.
  if (state_.compare_exchange_strong(expected, kSet, std::memory_order_release, std::memory_order_relaxed)) return;
  Entry* released = nullptr;
  {
    Guard guard{state_};
    released = waiters_.claim_all();
    guard.set_value(kSet);
  }
  detail::deliver_all(released);
}

void Event::clear() noexcept {
  Guard guard{state_};
  guard.set_value(guard.value() & ~kSet);
}

bool Event::wait_until(Deadline deadline) {
  // Past a set event only with the list bit clear: the one who sets it may still be inside.
  if (state_.load(std::memory_order_acquire) == kSet) return true;
  return detail::wait_enlisted(detail::current_context(), {detail::WaitKind::Event, this, label_}, deadline,
                               [this](Entry& entry) { return enlist(entry); }, [this](Entry& entry) { withdraw(entry); });
}

bool Event::enlist(Entry& entry) noexcept {
  Guard guard{state_};
  if (guard.value() & kSet) return false;
  waiters_.push_back(entry);
  guard.set_value(guard.value() | kWaiters);
  return true;
}

void Event::withdraw(Entry& entry) noexcept {
  Guard guard{state_};
  if (entry.linked) waiters_.remove(entry);
  if (waiters_.empty()) guard.set_value(guard.value() & ~kWaiters);
}

bool Event::SetWay::try_now() {
  if (!event_.is_set()) return false;
  // Whoever sets it may still be inside; the bit is free once he is not.
  const Guard guard{event_.state_};
  return (guard.value() & kSet) != 0;
}

}  // namespace weft
