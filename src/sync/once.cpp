#include <weft/sync/once.hpp>

namespace weft {

using detail::Context;
using detail::Entry;
using detail::Outcome;

namespace {

constexpr Outcome kYourTurn = 2;  // the former runner failed

}  // namespace

std::size_t Once::runner(const void* once, std::uint64_t* ids, std::size_t) noexcept {
  ids[0] = static_cast<const Once*>(once)->state_.load(std::memory_order_relaxed) >> kRunnerShift;
  return ids[0] != 0 ? 1 : 0;
}

void Once::set_runner(Guard& guard, std::uint64_t id) noexcept {
  guard.set_value(id << kRunnerShift);
  runs_in_ = detail::this_process();
}

Once::Turn Once::turn(Guard& guard, std::uint64_t mine) noexcept {
  if (guard.value() & kDone) return Turn::Done;
  const std::uint64_t runner = guard.value() >> kRunnerShift;
  // A context of the process this one was forked from runs nothing here, unless it is the one that called fork().
  const bool is_gone = runs_in_ != detail::this_process() && runner != mine;
  if (runner != 0 && !is_gone) return Turn::Others;
  set_runner(guard, mine);
  return Turn::Mine;
}

bool Once::begin() {
  Context& self = detail::current_context();
  {
    Guard guard{state_};
    const Turn now = turn(guard, self.id);
    if (now != Turn::Others) return now == Turn::Mine;
  }
  Entry entry;
  if (!detail::arm(self, entry, detail::Interruptible::Yes)) detail::throw_interruption();
  {
    Guard guard{state_};
    const Turn now = turn(guard, self.id);
    if (now != Turn::Others) {
      guard.release();
      // Armed but in no list: a kill may have decided it, but what was waited for came first.
      detail::disarm_granted(self);
      return now == Turn::Mine;
    }
    waiters_.push_back(entry);
  }
  const Outcome outcome = detail::park(self, {detail::WaitKind::Once, this, label_, &runner}, Deadline::never());
  if (outcome == detail::kFired) return false;
  if (outcome == kYourTurn) return true;
  {
    Guard guard{state_};
    if (entry.linked) waiters_.remove(entry);
  }
  detail::throw_interruption();
}

void Once::end(bool succeeded) noexcept {
  Entry* woken = nullptr;
  {
    Guard guard{state_};
    woken = succeeded ? waiters_.claim_all() : waiters_.claim_front(kYourTurn);
    if (succeeded) {
      guard.set_value(kDone);
    } else if (woken) {
      set_runner(guard, woken->context->id);
    } else {
      guard.set_value(0);
    }
  }
  detail::deliver_all(woken);
}

}  // namespace weft
