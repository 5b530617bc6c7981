#include <weft/process/rlock.hpp>

#include <atomic>

#include <weft/base/error.hpp>

#include "process/sync/shared_lock.hpp"
#include "process/sync/shared_object.hpp"

namespace weft::process {

using detail::RLockState;
using detail::SharedObject;
using weft::detail::Interruptible;
using weft::detail::WaitKind;

struct detail::RLockState {
  SharedLockWord word;
  // The holder's, who sets it when he takes the lock: what a dead one left does not matter.
  std::atomic<std::uint32_t> depth{0};

  [[nodiscard]] std::uint32_t get_depth() const noexcept { return depth.load(std::memory_order_relaxed); }
  void set_depth(std::uint32_t value) noexcept { depth.store(value, std::memory_order_relaxed); }
};

RLock::RLock(const char* name, std::source_location site)
    : RLock{SharedObject::make(SharedObject::Kind::RLock, sizeof(RLockState), name), site} {}

RLock::RLock(std::shared_ptr<SharedObject> object, std::source_location site) noexcept
    : object_{std::move(object)}, state_{&object_->as<RLockState>()}, label_{object_->label(site)} {}

bool RLock::enter_again() noexcept {
  if (!state_->word.held_by_caller()) return false;
  state_->set_depth(state_->get_depth() + 1);
  return true;
}

void RLock::lock() {
  if (enter_again()) return;
  (void)state_->word.lock_until(Deadline::never(), Interruptible::ByDeadlock, {WaitKind::RLock, label_});
  state_->set_depth(1);
}

bool RLock::try_lock() {
  if (enter_again()) return true;
  if (!state_->word.try_lock()) return false;
  state_->set_depth(1);
  return true;
}

bool RLock::try_lock_until(Deadline deadline) {
  if (enter_again()) return true;
  if (!state_->word.lock_until(deadline, Interruptible::Yes, {WaitKind::RLock, label_})) return false;
  state_->set_depth(1);
  return true;
}

void RLock::check_held(const char* operation) const {
  if (state_->word.held_by_caller()) return;
  throw InvalidStateError{std::string{operation} + " process RLock " + label_.text() + ": the caller does not hold it"};
}

void RLock::unlock() {
  check_held("unlock");
  const std::uint32_t depth = state_->get_depth() - 1;
  state_->set_depth(depth);
  if (depth == 0) (void)state_->word.unlock();
}

std::uint32_t RLock::release_all() noexcept {
  const std::uint32_t depth = state_->get_depth();
  (void)state_->word.unlock();
  return depth;
}

void RLock::take_again(std::uint32_t depth) noexcept {
  state_->word.lock({WaitKind::RLock, label_});
  state_->set_depth(depth);
}

bool RLock::owner_died() const noexcept { return state_->word.owner_died(); }

void RLock::recovered() {
  check_held("mark as recovered");
  state_->word.recovered();
}

bool RLock::locked() const noexcept { return state_->word.locked(); }
int RLock::owner() const noexcept { return detail::pid_of(state_->word.owner()); }
std::uint32_t RLock::depth() const noexcept { return state_->word.held_by_caller() ? state_->get_depth() : 0; }

void Transfer<RLock>::send(Outgoing& out, const RLock& lock) { lock.object_->send(out); }

RLock Transfer<RLock>::receive(Incoming& in) {
  return RLock{SharedObject::receive(in, SharedObject::Kind::RLock, sizeof(RLockState)), std::source_location{}};
}

}  // namespace weft::process
