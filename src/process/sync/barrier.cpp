#include <weft/process/barrier.hpp>

#include <atomic>
#include <string>

#include <weft/base/error.hpp>
#include <weft/detail/sent_function.hpp>

#include "process/sync/shared_futex.hpp"
#include "process/sync/shared_lock.hpp"
#include "process/sync/shared_object.hpp"

namespace weft::process {

using detail::BarrierState;
using detail::ProcessStamp;
using detail::SharedGuard;
using detail::SharedLockWord;
using detail::SharedObject;
using weft::detail::Interruptible;
using weft::detail::Outcome;
using weft::detail::WaitKind;

namespace {

/// One context that waits, or has been let through and not left yet.
struct Place {
  std::atomic<ProcessStamp> who{0};   // 0: nobody
  std::atomic<std::uint64_t> round{0};
  std::atomic<std::uint32_t> is_broken{0};  // its round was
};

}  // namespace

/// Everything is changed with the gate held. Rounds are numbered; a round is complete when `complete` says so, one
/// store that a kill cannot split, and broken for whoever's place says so. What a kill with the gate held leaves is
/// put right by the next one at the gate:
///   complete, but not begun the next round          the next is begun
///   some places of a round broken, others not       the rest is: it was being broken, or reset
/// A place whose process has ended is given up; if its round is not over, the barrier is broken. Waiters have their
/// process look for that, see shared_wait().
struct detail::BarrierState {
  SharedLockWord gate;
  std::atomic<std::uint32_t> signal{0};  // slept on: changes when anything does that a waiter waits for
  std::uint32_t parties = 0;
  std::uint32_t places = 0;              // a second round can gather while the first leaves
  std::atomic<std::uint64_t> round{1};
  std::atomic<std::uint64_t> complete{0};  // the last round that was
  std::atomic<std::uint32_t> is_broken{0};
  std::atomic<std::uint32_t> is_full{0};   // somebody waits for a place
  std::atomic<ProcessStamp> acting{0};     // in whose process the action runs, without the gate

  [[nodiscard]] static std::uint32_t places_for(std::uint32_t parties) noexcept { return 2 * parties + 8; }
  [[nodiscard]] static std::size_t bytes_for(std::uint32_t parties) noexcept {
    return sizeof(BarrierState) + places_for(parties) * sizeof(Place);
  }

  [[nodiscard]] Place& place(std::uint32_t i) noexcept { return reinterpret_cast<Place*>(this + 1)[i]; }

  [[nodiscard]] static SharedLockWord::Described described() noexcept { return {WaitKind::Lock, {}}; }
  [[nodiscard]] bool is_of_round(const Place& one) const noexcept { return one.who != 0 && one.round == round; }
  [[nodiscard]] bool is_through(const Place& one) const noexcept {
    return !one.is_broken && one.round <= complete;
  }

  [[nodiscard]] std::uint32_t count_waiting() noexcept {
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < places; ++i) count += is_of_round(place(i)) && !place(i).is_broken;
    return count;
  }

  void tell() noexcept {
    is_full = 0;
    ++signal;
    shared_wake(signal, kWakeAll);
  }

  // The places first: as long as the round is theirs, a kill in between leaves it to repair().
  void end_broken_round() noexcept {
    for (std::uint32_t i = 0; i < places; ++i) {
      if (is_of_round(place(i))) place(i).is_broken = 1;
    }
    ++round;
    tell();
  }
  void break_it() noexcept {
    is_broken = 1;
    end_broken_round();
  }

  [[nodiscard]] Place* take_place() noexcept {
    for (std::uint32_t i = 0; i < places; ++i) {
      Place& free = place(i);
      if (free.who != 0) continue;
      free.round = round.load();
      free.is_broken = 0;
      free.who = this_process_stamp();
      return &free;
    }
    is_full = 1;
    return nullptr;
  }
  void leave(Place& mine) noexcept {
    mine.who = 0;
    if (is_full) tell();
  }

  void repair(SharedGuard& guard) noexcept {
    if (!guard.owner_died()) return;
    if (complete == round) ++round;
    bool was_being_broken = is_broken && acting == 0;  // a round whose action runs goes on
    for (std::uint32_t i = 0; i < places; ++i) was_being_broken |= is_of_round(place(i)) && place(i).is_broken;
    if (was_being_broken) end_broken_round();
    tell();
    guard.recovered();
  }

  // Processes that have ended: their places are free, and what they were part of is broken.
  void bury_the_dead() noexcept {
    bool one_of_this_round = false;
    for (std::uint32_t i = 0; i < places; ++i) {
      Place& one = place(i);
      const ProcessStamp who = one.who;
      if (who == 0 || who == this_process_stamp() || !process_is_gone(who)) continue;
      one_of_this_round |= is_of_round(one) && !one.is_broken;
      if (acting == who) acting = 0;
      one.who = 0;
    }
    one_of_this_round ? break_it() : tell();
  }
  // For the looks of those who wait, without the gate: a hint.
  [[nodiscard]] static bool somebody_died(void* barrier) noexcept {
    auto& self = *static_cast<BarrierState*>(barrier);
    for (std::uint32_t i = 0; i < self.places; ++i) {
      const ProcessStamp who = self.place(i).who;
      if (who != 0 && watched_process_is_gone(who)) return true;
    }
    return false;
  }

  /// Lets go of the gate until something has changed.
  [[nodiscard]] Outcome wait_for_change(SharedGuard& guard, Deadline deadline, Label label) noexcept {
    const std::uint32_t seen = signal;
    guard.release();
    const Outcome outcome = shared_wait(signal, seen,
                                        {.kind = WaitKind::Condition, .object = this, .label = label, .outside = true}, deadline,
                                        Interruptible::Yes, {&somebody_died, this});
    guard.lock_again(described());
    repair(guard);
    if (outcome == weft::detail::kFired && signal == seen) bury_the_dead();
    return outcome;
  }
};

namespace {

[[noreturn]] void fail_broken() {
  throw BrokenBarrierError{"wait for a process Barrier: it is broken, or was reset, so that not all parties can come"};
}

std::uint32_t checked(std::uint32_t parties) {
  if (parties == 0) throw InvalidStateError{"a process Barrier needs at least one party"};
  if (parties > Barrier::most_parties()) {
    throw InvalidStateError{"a process Barrier has at most " + std::to_string(Barrier::most_parties()) + " parties, not " +
                            std::to_string(parties)};
  }
  return parties;
}

/// Runs the action without the gate. False: the round was broken meanwhile.
bool run_action(BarrierState& state, SharedGuard& guard, Place& mine, void (*action)()) {
  if (!action) return true;
  state.acting = detail::this_process_stamp();
  guard.release();
  const auto end = [&] {
    guard.lock_again(BarrierState::described());
    state.repair(guard);
    state.acting = 0;
  };
  try {
    action();
  } catch (...) {
    end();
    if (!mine.is_broken) state.break_it();
    state.leave(mine);
    throw;
  }
  end();
  if (mine.is_broken) state.tell();  // those who came meanwhile
  return !mine.is_broken;
}

}  // namespace

Barrier::Barrier(std::uint32_t parties, void (*action)(), const char* name, std::source_location site)
    : Barrier{SharedObject::make(SharedObject::Kind::Barrier, BarrierState::bytes_for(checked(parties)), name), action, site} {
  state_->parties = parties;
  state_->places = BarrierState::places_for(parties);
  state_->round = 1;
}

Barrier::Barrier(std::shared_ptr<SharedObject> object, void (*action)(), std::source_location site) noexcept
    : object_{std::move(object)}, state_{&object_->as<BarrierState>()}, action_{action}, label_{object_->label(site)} {}

std::uint32_t Barrier::wait_until(Deadline deadline) {
  BarrierState& state = *state_;
  SharedGuard guard{state.gate, BarrierState::described()};
  state.repair(guard);
  Place* mine = nullptr;
  while (!state.is_broken && (state.acting != 0 || !(mine = state.take_place()))) {
    // The round whose action runs is complete, and goes on. The one that was to follow cannot be.
    const Outcome outcome = state.wait_for_change(guard, deadline, label_);
    if (outcome == weft::detail::kFired) continue;
    if (state.acting != 0) {
      state.is_broken = 1;
      state.tell();
    } else {
      state.break_it();
    }
    if (outcome == weft::detail::kInterrupted) {
      guard.release();
      weft::detail::throw_interruption();
    }
  }
  if (!mine) fail_broken();
  const std::uint32_t number = state.count_waiting() - 1;
  if (number + 1 == state.parties) {
    const bool is_whole = run_action(state, guard, *mine, action_);
    if (is_whole) {
      state.complete = state.round.load();  // now it is
      ++state.round;
      state.tell();
    }
    state.leave(*mine);
    if (!is_whole) fail_broken();
    return number;
  }
  while (!mine->is_broken && !state.is_through(*mine)) {
    const Outcome outcome = state.wait_for_change(guard, deadline, label_);
    if (outcome == weft::detail::kFired || mine->is_broken || state.is_through(*mine)) continue;
    state.break_it();
    state.leave(*mine);
    guard.release();
    if (outcome == weft::detail::kInterrupted) weft::detail::throw_interruption();
    fail_broken();
  }
  const bool is_through = !mine->is_broken;
  state.leave(*mine);
  if (!is_through) fail_broken();
  return number;
}

void Barrier::abort() {
  SharedGuard guard{state_->gate, BarrierState::described()};
  state_->repair(guard);
  state_->break_it();
}

void Barrier::reset() {
  SharedGuard guard{state_->gate, BarrierState::described()};
  state_->repair(guard);
  state_->end_broken_round();
  state_->is_broken = 0;
  state_->tell();
}

std::uint32_t Barrier::parties() const noexcept { return state_->parties; }

std::uint32_t Barrier::waiting() const {
  SharedGuard guard{state_->gate, BarrierState::described()};
  state_->repair(guard);
  return state_->count_waiting();
}

bool Barrier::broken() const {
  SharedGuard guard{state_->gate, BarrierState::described()};
  state_->repair(guard);
  return state_->is_broken != 0;
}

void Transfer<Barrier>::send(Outgoing& out, const Barrier& barrier) {
  barrier.object_->send(out);
  const bool acts = barrier.action_ != nullptr;
  out.write(&acts, sizeof acts);
  if (acts) weft::detail::send_function(out, barrier.action_);
}

Barrier Transfer<Barrier>::receive(Incoming& in) {
  auto object = SharedObject::receive(in, SharedObject::Kind::Barrier, sizeof(BarrierState));
  const auto& state = object->as<BarrierState>();
  if (state.places != BarrierState::places_for(state.parties) || object->size() < BarrierState::bytes_for(state.parties)) {
    throw ProtocolError{"receive a process Barrier: its parties do not fit into its memory"};
  }
  unsigned char acts = 0;
  in.read(&acts, sizeof acts);
  return Barrier{std::move(object), acts != 0 ? weft::detail::receive_function(in) : nullptr, std::source_location{}};
}

}  // namespace weft::process
