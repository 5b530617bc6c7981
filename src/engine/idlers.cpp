#include "engine/idlers.hpp"

namespace weft::detail {

void Idlers::enlist(Entry& entry) noexcept {
  Guard guard{state_};
  waiters_.push_back(entry);
  guard.set_value(kWaiters);
}

void Idlers::withdraw(Entry& entry) noexcept {
  Guard guard{state_};
  if (entry.linked) waiters_.remove(entry);
  if (waiters_.empty()) guard.set_value(0);
}

void Idlers::release() noexcept {
  Entry* released = nullptr;
  {
    Guard guard{state_};
    released = waiters_.claim_all();
    guard.set_value(0);
  }
  deliver_all(released);
}

}  // namespace weft::detail
