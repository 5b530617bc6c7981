#include <weft/process/lock.hpp>

#include <weft/base/error.hpp>

#include "process/sync/shared_lock.hpp"
#include "process/sync/shared_object.hpp"

namespace weft::process {

using detail::SharedLockWord;
using detail::SharedObject;
using weft::detail::Interruptible;
using weft::detail::WaitKind;

Lock::Lock(const char* name, std::source_location site)
    : Lock{SharedObject::make(SharedObject::Kind::Lock, sizeof(SharedLockWord), name), site} {}

Lock::Lock(std::shared_ptr<SharedObject> object, std::source_location site) noexcept
    : object_{std::move(object)}, word_{&object_->as<SharedLockWord>()}, label_{object_->label(site)} {}

void Lock::lock() {
  (void)word_->lock_until(Deadline::never(), Interruptible::ByDeadlock, {WaitKind::Lock, label_});
}

void Lock::lock_again() noexcept { word_->lock({WaitKind::Lock, label_}); }

bool Lock::try_lock() { return word_->try_lock(); }

bool Lock::try_lock_until(Deadline deadline) {
  return word_->lock_until(deadline, Interruptible::Yes, {WaitKind::Lock, label_});
}

void Lock::unlock() {
  if (!word_->unlock()) throw InvalidStateError{"unlock process Lock " + label_.text() + ": nobody holds it"};
}

bool Lock::owner_died() const noexcept { return word_->owner_died(); }

void Lock::recovered() {
  if (word_->owner() != detail::this_process_stamp()) {
    throw InvalidStateError{"mark process Lock " + label_.text() + " as recovered: this process does not hold it"};
  }
  word_->recovered();
}

bool Lock::locked() const noexcept { return word_->locked(); }
int Lock::owner() const noexcept { return detail::pid_of(word_->owner()); }

void Transfer<Lock>::send(Outgoing& out, const Lock& lock) { lock.object_->send(out); }

Lock Transfer<Lock>::receive(Incoming& in) {
  return Lock{SharedObject::receive(in, SharedObject::Kind::Lock, sizeof(SharedLockWord)), std::source_location{}};
}

}  // namespace weft::process
