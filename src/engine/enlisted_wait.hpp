#pragma once

#include <weft/base/deadline.hpp>
#include <weft/detail/context.hpp>

namespace weft::detail {

/// The wait of an object whose end, once it has come, stays: of a fiber, a future, an event that is set.
///
/// `self` is the calling context. `enlist(entry)` links the entry, unless what is waited for is there: false; `withdraw(entry)` takes it out if it is still linked. True:
/// it came. False: not in time. Throws: what interrupts a wait.
template <class Enlist, class Withdraw>
[[gnu::always_inline]] inline bool wait_enlisted(Context& self, const Wait& record, Deadline deadline, Enlist enlist,
                                                 Withdraw withdraw) {
  Entry entry;
  if (!arm(self, entry, Interruptible::Yes)) throw_interruption();
  if (!enlist(entry)) {
    // Not linked, so that only a kill can have decided the wait, and what is waited for is there: both are true, the grant wins.
    disarm_granted(self);
    return true;
  }
  const Outcome outcome = park(self, record, deadline);
  if (outcome == kFired) return true;
  withdraw(entry);
  if (outcome == kInterrupted) throw_interruption();
  return false;
}

}  // namespace weft::detail
