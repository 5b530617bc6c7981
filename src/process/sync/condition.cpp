#include <weft/process/condition.hpp>

#include <algorithm>
#include <atomic>

#include <weft/base/error.hpp>

#include "process/sync/shared_futex.hpp"
#include "process/sync/shared_lock.hpp"
#include "process/sync/shared_object.hpp"

namespace weft::process {

using detail::ConditionState;
using detail::SharedGuard;
using detail::SharedLockWord;
using detail::SharedObject;
using weft::detail::Interruptible;
using weft::detail::Outcome;
using weft::detail::WaitKind;

namespace {

/// Changed with the gate held only; atomic because a sleeper's process looks at one of them, and for the order of
/// what a kill leaves.
template <class T>
class Field {
 public:
  [[nodiscard]] T get() const noexcept { return value_.load(std::memory_order_relaxed); }
  void set(T value) noexcept { value_.store(value, std::memory_order_release); }
  [[nodiscard]] const std::atomic<T>& word() const noexcept { return value_; }

 private:
  std::atomic<T> value_{0};
};

}  // namespace

/// Waiters draw tickets. A notification makes all who hold one then eligible and gives out permits for so many of
/// them; whoever of them is first takes one. So those who come later cannot take what was meant for earlier ones, and
/// it does not matter which sleeper the kernel wakes.
///
/// Whoever was killed with the gate held has left some fields changed and others not, and who was killed while he
/// waited is counted still. Too high a count costs a return for nothing, never a lost notification: eligible and
/// permits are only caps. After a death at the gate the next one makes sure by notifying everybody.
struct detail::ConditionState {
  SharedLockWord gate;
  Field<std::uint32_t> signal;    // slept on: counts notifications
  Field<std::uint32_t> waiting;
  Field<std::uint32_t> eligible;  // of those: with a ticket below `boundary`
  Field<std::uint32_t> permits;   // at most `eligible`
  Field<std::uint64_t> tickets;   // drawn so far
  Field<std::uint64_t> boundary;

  struct Ticket {
    std::uint64_t number;
    std::uint32_t signal;
  };

  [[nodiscard]] Ticket enter() noexcept {
    SharedGuard guard{gate, described()};
    repair(guard);
    const Ticket ticket{tickets.get(), signal.get()};
    tickets.set(ticket.number + 1);
    waiting.set(waiting.get() + 1);
    return ticket;
  }

  /// Until notified, or otherwise ended; whatever it was, the ticket is given back.
  [[nodiscard]] Outcome wait(Ticket ticket, Deadline deadline, Label label) noexcept {
    for (;;) {
      const Outcome outcome = shared_wait(signal.word(), ticket.signal,
                                          {.kind = WaitKind::Condition, .object = this, .label = label, .outside = true}, deadline,
                                          Interruptible::Yes);
      SharedGuard guard{gate, described()};
      repair(guard);
      const bool is_eligible = ticket.number < boundary.get();
      if (is_eligible && permits.get() > 0 && outcome != weft::detail::kInterrupted) {
        permits.set(permits.get() - 1);
        leave(true);
        return weft::detail::kFired;
      }
      if (outcome != weft::detail::kFired) {
        leave(is_eligible);
        if (permits.get() > 0) shared_wake(signal.word(), 1);  // the wake-up that we may have had was for another one
        return outcome;
      }
      ticket.signal = signal.get();
    }
  }

  void notify(std::size_t count) noexcept {
    // Pairs with whoever let go of the user's lock after he had entered: a notifier that has taken it since sees him.
    if (waiting.word().load(std::memory_order_acquire) == 0 || count == 0) return;
    SharedGuard guard{gate, described()};
    repair(guard);
    const std::uint32_t all = waiting.get();
    grant(static_cast<std::uint32_t>(std::min<std::uint64_t>(all, permits.get() + std::min<std::uint64_t>(count, all))), count);
  }

 private:
  [[nodiscard]] SharedLockWord::Described described() const noexcept { return {WaitKind::Lock, {}}; }

  void leave(bool is_eligible) noexcept {
    if (waiting.get() > 0) waiting.set(waiting.get() - 1);
    if (is_eligible && eligible.get() > 0) eligible.set(eligible.get() - 1);
    if (permits.get() > eligible.get()) permits.set(eligible.get());
  }

  // With the gate held, so that nobody comes in between and is woken in place of one who may go.
  void grant(std::uint32_t total, std::size_t sleepers) noexcept {
    boundary.set(tickets.get());
    eligible.set(waiting.get());
    permits.set(total);
    signal.set(signal.get() + 1);
    shared_wake(signal.word(), static_cast<int>(std::min<std::size_t>(sleepers, kWakeAll)));
  }

  void repair(SharedGuard& guard) noexcept {
    if (!guard.owner_died()) return;
    grant(waiting.get(), kWakeAll);
    guard.recovered();
  }
};

Condition::Condition(const char* name, std::source_location site)
    : Condition{SharedObject::make(SharedObject::Kind::Condition, sizeof(ConditionState), name), site} {}

Condition::Condition(std::shared_ptr<SharedObject> object, std::source_location site) noexcept
    : object_{std::move(object)}, state_{&object_->as<ConditionState>()}, label_{object_->label(site)} {}

namespace {

[[noreturn]] void fail_not_held() {
  throw InvalidStateError{"wait on a process Condition: the caller does not hold the lock it passed"};
}

}  // namespace

template <class Release, class Retake>
bool Condition::wait_released(Deadline deadline, Release release, Retake retake) {
  // Entered before the lock is free: a notification by whoever takes it next counts us.
  const ConditionState::Ticket ticket = state_->enter();
  release();
  const Outcome outcome = state_->wait(ticket, deadline, label_);
  retake();
  if (outcome == weft::detail::kInterrupted) weft::detail::throw_interruption();
  return outcome == weft::detail::kFired;
}

bool Condition::wait_until(std::unique_lock<Lock>& guard, Deadline deadline) {
  // Not by this very context: whoever holds it may have been given it.
  if (!guard.owns_lock() || guard.mutex()->owner() != detail::pid_of(detail::this_process_stamp())) fail_not_held();
  Lock& lock = *guard.mutex();
  return wait_released(deadline, [&] { lock.unlock(); }, [&] { lock.lock_again(); });
}

bool Condition::wait_until(std::unique_lock<RLock>& guard, Deadline deadline) {
  if (!guard.owns_lock() || guard.mutex()->depth() == 0) fail_not_held();
  RLock& lock = *guard.mutex();
  std::uint32_t depth = 0;
  return wait_released(deadline, [&] { depth = lock.release_all(); }, [&] { lock.take_again(depth); });
}

void Condition::notify(std::size_t count) noexcept { state_->notify(count); }

void Transfer<Condition>::send(Outgoing& out, const Condition& condition) { condition.object_->send(out); }

Condition Transfer<Condition>::receive(Incoming& in) {
  return Condition{SharedObject::receive(in, SharedObject::Kind::Condition, sizeof(ConditionState)), std::source_location{}};
}

}  // namespace weft::process
