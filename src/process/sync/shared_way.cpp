#include <weft/detail/shared_way.hpp>

#include <cerrno>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/detail/shared_queue_cases.hpp>

#include "process/sync/shared_futex.hpp"

namespace weft::process::detail {

bool SharedWay::try_now() {
  if (std::exchange(refused_, false))
    throw OSError{EAGAIN, "select(): start the thread that watches", "memory of several processes"};
  return take(false);
}

bool SharedWay::enlist() noexcept {
  waiter_ = {};
  waiter_.entry = &entry;
  if (!expect(waiter_)) return false;
  refused_ = !shared_enlist(waiter_);
  return !refused_;
}

// The word's change may have been this wait's doing: a thread of weft's that watched it for us had the only wake-up.
void SharedWay::withdraw() noexcept {
  shared_withdraw(waiter_);
  leave(waiter_.has_changed());
}

// At once, before select() asks the other cases: what the hint was for is taken, or somebody else has it, so that none is owed.
bool SharedWay::accept(weft::detail::Outcome) noexcept {
  try {
    return take(true);
  } catch (...) {
    return false;  // select() asks again, and is told again
  }
}

bool ByteGetWay::take(bool) { return is_over(queue_.try_get(item_, Deadline::already(), ByteQueue::MayWait::No)); }
bool BytePutWay::take(bool) { return is_over(queue_.try_put(item_.bytes(), Deadline::already(), ByteQueue::MayWait::No)); }

}  // namespace weft::process::detail
