#include <weft/sync/rwlock.hpp>

#include <weft/base/error.hpp>

namespace weft {

using detail::Context;
using detail::Entry;
using detail::Interruptible;
using detail::Outcome;

// The lock is handed over: whoever leaves it last makes its successors holders, under the list bit. So a free lock has no
// waiters, and nobody can come between.
//
// Bounded waiting. The two lists are each in order of arrival. A writer that waits keeps new readers out, so that those who read
// now are the last before it or an earlier writer; when they have left, the first writer follows. A writer that leaves
// lets in all readers that wait, and the next writer follows them. So phases of reading and writing alternate as long as both
// kinds wait; a reader waits for the phase it found and one of writing at most, a writer for twice as many phases as
// there are writers before it, and two more.

// What a writer waits for: the one that writes, or the reader, when it is alone. Several readers are not known by id.
std::size_t RWLock::writers_holders(const void* lock, std::uint64_t* ids, std::size_t) noexcept {
  const std::uint64_t seen = static_cast<const RWLock*>(lock)->state_.load(std::memory_order_relaxed);
  if (seen & kWriting) {
    ids[0] = writer_of(seen);
    return 1;
  }
  ids[0] = seen >> kSumShift;
  return readers_of(seen) == 1 ? 1 : 0;
}

// What a reader waits for: the one that writes, or the first writer that waits, which keeps it out until it has had its turn.
std::size_t RWLock::readers_holders(const void* lock, std::uint64_t* ids, std::size_t) noexcept {
  const auto& self = *static_cast<const RWLock*>(lock);
  const std::uint64_t seen = self.state_.load(std::memory_order_relaxed);
  ids[0] = seen & kWriting ? writer_of(seen) : self.next_writer_.load(std::memory_order_relaxed);
  return ids[0] != 0 ? 1 : 0;
}

void RWLock::lock_slowly() { (void)acquire(Side::Write, Deadline::never(), Interruptible::ByDeadlock); }
void RWLock::lock_shared_slowly() { (void)acquire(Side::Read, Deadline::never(), Interruptible::ByDeadlock); }
bool RWLock::lock_until(Deadline deadline) { return acquire(Side::Write, deadline, Interruptible::Yes); }
bool RWLock::lock_shared_until(Deadline deadline) { return acquire(Side::Read, deadline, Interruptible::Yes); }

bool RWLock::acquire(Side side, Deadline deadline, Interruptible interruptible) {
  Context& self = detail::current_context();
  Entry entry;
  if (!detail::arm(self, entry, interruptible)) detail::throw_interruption();
  {
    Guard guard{state_};
    const bool free = side == Side::Write ? guard.value() == 0 : lets_in_a_reader(guard.value());
    if (free) {
      guard.set_value(guard.value() + (side == Side::Write ? as_writer(self.id) : as_reader(self.id)));
      guard.release();
      // Armed but in no list: a kill may have decided it, but the lock is ours, and that counts.
      detail::disarm_granted(self);
      return true;
    }
    (side == Side::Write ? waiting_writers_ : waiting_readers_).push_back(entry);
    note_waiters(guard);
  }
  const auto holders = side == Side::Write ? &writers_holders : &readers_holders;
  const Outcome outcome = detail::park(self, {detail::WaitKind::RWLock, this, label_, holders}, deadline);
  if (outcome == detail::kFired) return true;
  give_up(side, entry);
  if (outcome == detail::kInterrupted) detail::throw_interruption();
  return false;
}

// The readers that a writer kept out come in if it was the last to wait.
void RWLock::give_up(Side side, Entry& entry) noexcept {
  Guard guard{state_};
  if (entry.linked) (side == Side::Write ? waiting_writers_ : waiting_readers_).remove(entry);
  Entry* let_in = nullptr;
  if (!(guard.value() & kWriting) && waiting_writers_.empty()) let_in = let_in_readers(guard);
  note_waiters(guard);
  guard.release();
  detail::deliver_all(let_in);
}

void RWLock::unlock_slowly() {
  // Only the caller itself can have made itself the owner, so that no order is needed.
  if (owner() != detail::current_context_id()) {
    throw InvalidStateError{"unlock RWLock " + label_.text() + ": the caller does not hold it to write"};
  }
  Guard guard{state_};
  guard.set_value(0);
  pass_on(guard, Side::Write);
}

void RWLock::unlock_shared_slowly() {
  const std::uint64_t mine = as_reader(detail::current_context_id());
  Guard guard{state_};
  const std::uint64_t held = guard.value() & ~kFlags;
  const std::uint32_t readers = readers_of(guard.value());
  if (readers == 0 || (readers == 1 && held != mine)) {
    guard.release();
    throw InvalidStateError{"unlock_shared RWLock " + label_.text() +
                            (readers == 0 ? ": nobody holds it to read"
                                          : ": the caller does not hold it to read, or somebody who does not has unlocked it")};
  }
  guard.set_value(guard.value() - mine);
  if (readers == 1) {
    pass_on(guard, Side::Read);
  }
}

// Nobody holds it any more in the guard's value.
void RWLock::pass_on(Guard& guard, Side after) noexcept {
  Entry* let_in = after == Side::Write ? let_in_readers(guard) : let_in_writer(guard);
  if (!let_in) let_in = after == Side::Write ? let_in_writer(guard) : let_in_readers(guard);
  note_waiters(guard);
  guard.release();
  detail::deliver_all(let_in);
}

// All that wait, as a chain. Those beyond what the word can count, four million, come after these.
Entry* RWLock::let_in_readers(Guard& guard) noexcept {
  Entry* first = nullptr;
  Entry** last = &first;
  while ((guard.value() & kReaders) != kReaders) {
    Entry* reader = waiting_readers_.claim_front();
    if (!reader) break;
    guard.set_value(guard.value() + as_reader(reader->context->id));
    *last = reader;
    last = &reader->next;
  }
  return first;
}

Entry* RWLock::let_in_writer(Guard& guard) noexcept {
  Entry* writer = waiting_writers_.claim_front();
  if (writer) guard.set_value(as_writer(writer->context->id));
  return writer;
}

void RWLock::note_waiters(Guard& guard) noexcept {
  const bool waited_for = !waiting_writers_.empty() || !waiting_readers_.empty();
  guard.set_value(waited_for ? guard.value() | kWaiters : guard.value() & ~kWaiters);
  const Entry* next = waiting_writers_.front();
  next_writer_.store(next ? next->context->id : 0, std::memory_order_relaxed);
}

}  // namespace weft
