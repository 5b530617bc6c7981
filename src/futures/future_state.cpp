#include <weft/detail/future_state.hpp>

#include <algorithm>
#include <cstdio>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/futures/promise.hpp>

#include "base/cause.hpp"
#include "engine/enlisted_wait.hpp"
#include "futures/roster.hpp"

namespace weft::detail {

namespace {

template <class Call>
void call_each(DoneHook* hook, Call call) {
  while (hook) {
    DoneHook* next = hook->next;  // it may end its own life
    call(*hook);
    hook = next;
  }
}

}  // namespace

// ---- waiting --------------------------------------------------------------------------------------------------------

bool FutureState::wait_until(Deadline deadline) {
  if (done()) return true;
  const bool elsewhere = is_elsewhere();
  if (elsewhere && advance(deadline)) return true;
  const Explained* explained = this;
  Wait record{.kind = WaitKind::Future, .object = explained, .holders = &holders};
  record.outside = elsewhere;
  return wait_enlisted(current_context(), record, deadline,
                       [this](Entry& entry) { return enlist(entry); }, [this](Entry& entry) { withdraw(entry); });
}

bool FutureState::enlist(Entry& entry) noexcept {
  Guard guard{state_};
  if (guard.value() & kDone) return false;
  waiters_.push_back(entry);
  guard.set_value(guard.value() | kWaiters);
  return true;
}

void FutureState::withdraw(Entry& entry) noexcept {
  Guard guard{state_};
  if (entry.linked) waiters_.remove(entry);
}

void FutureState::link(DoneHook& hook) noexcept {
  {
    Guard guard{state_};
    if (!(guard.value() & kDone)) {
      hook.next = hooks_;
      hooks_ = &hook;
      guard.set_value(guard.value() | kHooks);
      return;
    }
  }
  call(hook);
}

bool FutureState::unlink(DoneHook& hook) noexcept {
  Guard guard{state_};
  for (DoneHook** link = &hooks_; *link; link = &(*link)->next) {
    if (*link != &hook) continue;
    *link = hook.next;
    return true;
  }
  return false;
}

// Who ends a wait for it: the one who runs it, or, while it stands in line, all who may come to it.
std::size_t FutureState::holders(const void* explained, std::uint64_t* ids, std::size_t most) noexcept {
  const auto& self = *static_cast<const FutureState*>(static_cast<const Explained*>(explained));
  const std::uint32_t word = self.word();
  if (word & kDone) return 0;
  if (!(word & kRunning)) {
    const Roster* roster = self.roster_.load(std::memory_order_relaxed);
    return roster ? roster->workers(ids, most) : 0;
  }
  ids[0] = self.runner_id_.load(std::memory_order_relaxed);
  return ids[0] != 0;
}

void FutureState::explain(char* text, std::size_t room) const noexcept {
  const Roster* roster = roster_.load(std::memory_order_relaxed);
  if (!(word() & (kRunning | kDone)) && roster) roster->explain(text, room);
}

// ---- the end --------------------------------------------------------------------------------------------------------

// With the list bit, which it releases: from then on the state may be gone, but for the reference of the caller. What is to be called next.
DoneHook* FutureState::end(Guard& guard, std::uint32_t how) noexcept {
  Entry* waiters = waiters_.claim_all();
  DoneHook* newest = std::exchange(hooks_, nullptr);
  guard.set_value((guard.value() & ~(kWaiters | kHooks)) | kDone | how);
  guard.release();
  deliver_all(waiters);
  DoneHook* hooks = nullptr;  // in the order of their coming
  while (newest) {
    DoneHook* next = newest->next;
    newest->next = std::exchange(hooks, newest);
    newest = next;
  }
  return hooks;
}

bool FutureState::begin(Context* runner) noexcept {
  // Several may try to end what nobody runs; what is run is begun by one.
  if (runner) {
    runner_ = runner;
    runner_id_.store(runner->id, std::memory_order_relaxed);
  }
  Backoff backoff;
  std::uint32_t seen = state_.load(std::memory_order_relaxed);
  for (;;) {
    if (seen & (kRunning | kDone)) return false;
    if (seen & kList) {
      backoff.pause();
      seen = state_.load(std::memory_order_relaxed);
    } else if (state_.compare_exchange_weak(seen, seen | kRunning, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      return true;
    }
  }
}

void FutureState::perform() noexcept {
  try {
    execute();
  } catch (const Cancelled&) {
    ended_by_kill_ = true;
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void FutureState::publish(BeforeHooks* before_hooks) noexcept {
  const std::uint32_t how = ended_by_kill_ ? kCancelled : 0;
  std::uint32_t alone = kRunning;
  if (state_.compare_exchange_strong(alone, kRunning | kDone | how, std::memory_order_release, std::memory_order_relaxed)) {
    return;
  }
  Guard guard{state_};
  // Before anybody learns of the end: nobody kills it any more, and what comes next is no part of it.
  if (guard.value() & kKilled) forget_stopped_scope(*runner_);
  DoneHook* hook = end(guard, how);
  if (hook && before_hooks) before_hooks->hooks_follow();
  call_each(hook, [this](DoneHook& it) { it.on_done(*this); });
}

DoneHook::Calls FutureState::publish_if(DoneHook::Calls most) noexcept {
  using Calls = DoneHook::Calls;
  std::uint32_t alone = kRunning;
  if (state_.compare_exchange_strong(alone, kRunning | kDone, std::memory_order_release, std::memory_order_relaxed)) return Calls::Nothing;
  Guard guard{state_};
  Calls calls = Calls::Nothing;
  for (const DoneHook* hook = hooks_; hook; hook = hook->next) calls = std::max(calls, hook->calls);
  if (calls <= most) call_each(end(guard, 0), [this](DoneHook& hook) { hook.on_done(*this); });
  return calls;
}

bool FutureState::cancel() noexcept {
  // Ahead of the bit, as it takes the lock of a pool. What has been taken back nobody begins.
  if (!(word() & (kRunning | kDone)) && !take_back()) return false;
  Guard guard{state_};
  if (guard.value() & (kRunning | kDone)) return (guard.value() & kCancelled) != 0;
  call_each(end(guard, kCancelled), [this](DoneHook& hook) { call(hook); });
  abandon();  // nobody begins it any more, and a destructor may do anything
  return true;
}

void FutureState::kill() noexcept {
  if (cancel()) return;
  Guard guard{state_};
  if ((guard.value() & (kDone | kKilled)) || !runner_) return;
  guard.set_value(guard.value() | kKilled);
  // Under the bit: as long as it is held the runner cannot say that it is done, and leave.
  stop_scope(*runner_);
}

bool FutureState::fail_unbegun(std::exception_ptr why) noexcept {
  if (!begin(nullptr)) return false;
  abandon();
  failure_ = std::move(why);
  publish();
  return true;
}

void FutureState::throw_failure() const {
  if (failure_) std::rethrow_exception(failure_);
  if (!cancelled()) return;
  throw CancelledError{ended_by_kill_ ? "the work was ended by a kill" : "the work was cancelled before it began"};
}

void throw_result_taken() {
  throw InvalidStateError{"get: the result of this Future has been taken; result() can be asked for again and again"};
}

void throw_empty_future() {
  throw InvalidStateError{"this Future is empty: it was made without work, or moved from"};
}

void throw_promise_kept() { throw InvalidStateError{"this Promise has been kept: a result is set once"}; }

std::exception_ptr broken_promise() {
  return std::make_exception_ptr(CancelledError{"the Promise of this Future was dropped before it was kept"});
}

void report_callback_failure(const std::exception_ptr& failure) noexcept {
  std::fprintf(stderr, "weft: a callback of a Future threw: %s\n", cause_of(failure).c_str());
}

}  // namespace weft::detail
