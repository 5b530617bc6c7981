// Whoever waits for a result of a pool of processes looks after its workers meanwhile: a thread sleeps on the word that they look at, a
// fiber on an eventfd of its runtime's reactor. So that between a worker and who waits for it there is no third thread.

#include <atomic>

#include "engine/descriptor.hpp"
#include "engine/thread_context.hpp"
#include "engine/waits.hpp"
#include "port/futex.hpp"
#include "process/pool/process_pool.hpp"

namespace weft::detail {

using Direction = Descriptor::Direction;

/// A context that looks after the workers, or is told by them: one at a time, whoever comes second waits as usual.
class ProcessPool::InCharge {
 public:
  /// `asked`: the bits that it may have set until it ends.
  InCharge(ProcessPool& pool, std::atomic<bool>& taken, std::uint32_t asked) noexcept : pool_{pool}, taken_{taken}, asked_{asked} {}
  InCharge(const InCharge&) = delete;
  InCharge& operator=(const InCharge&) = delete;
  // What is done after this the dispatcher is told of; what was done before, and told to us or to nobody, is seen by the last look.
  ~InCharge() {
    pool_.attention_.fetch_and(~asked_, std::memory_order_seq_cst);
    taken_.store(false, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    pool_.drain();
  }

 private:
  ProcessPool& pool_;
  std::atomic<bool>& taken_;
  const std::uint32_t asked_;
};

// Whoever is about to sleep asks first, and looks then: with the fence in PoolWorker::tell_pool() either he sees what is done, or the worker that
// he asks.
void ProcessPool::ask_to_be_told(std::uint32_t how, std::uint32_t instead_of) noexcept {
  attention_.fetch_or(how, std::memory_order_seq_cst);
  if (instead_of != 0) attention_.fetch_and(~instead_of, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

// Until it is over nobody need be told. False: a worker has just been woken. It may need this very processor, so that to look on would cost
// more than to sleep at once.
bool ProcessPool::begin_to_look() noexcept {
  attention_.fetch_or(PoolDoor::kLooking, std::memory_order_seq_cst);
  if (!woke_a_worker_.load(std::memory_order_relaxed)) return true;
  woke_a_worker_.store(false, std::memory_order_relaxed);
  return false;
}

bool ProcessPool::advance(FutureState& future, Deadline deadline) {
  if (is_left_behind()) return false;
  if (deadline.has_passed()) {
    drain();
    return future.done();
  }
  const Explained* explained = &future;
  const Wait record{.kind = WaitKind::Future, .object = explained, .holders = &nobody_here, .outside = true};
  const bool on_fiber = current_context().is_fiber();
  if (!leading_.exchange(true, std::memory_order_acquire)) {
    const InCharge leading{*this, leading_, PoolDoor::kLooking | PoolDoor::kSleeper};
    if (!on_fiber && can_sleep_beside_) return lead_on_thread(future, record, deadline);
    if (look_briefly(future)) return true;
  }
  return on_fiber && listen_on_fiber(future, record, deadline);
}

// For as long as to wake others would cost at least: a worker of fibers has others to run.
bool ProcessPool::look_briefly(FutureState& future) noexcept {
  if (!begin_to_look()) return false;
  return fiber_spins_.spin([&] {
    drain();
    return future.done();
  });
}

// ---- threads --------------------------------------------------------------------------------------------------------

// For as long as that has been worth it of late, ahead of all that a sleep takes.
bool ProcessPool::look_on(FutureState& future, const Context& self, Deadline deadline) noexcept {
  if (!begin_to_look()) return false;
  const auto is_over = [&] { return future.done() || self.cancel_requested(); };
  while (!is_over() && spins_.spin([&] { return drain() != 0 || is_over(); })) {
    if (deadline.has_passed()) break;
  }
  return future.done();
}

bool ProcessPool::lead_on_thread(FutureState& future, const Wait& record, Deadline deadline) {
  ThreadContext& self = own_thread_context();
  const ScopedDeadline until{self, deadline};
  for (;;) {
    if (look_on(future, self, until.deadline())) return true;
    ask_to_be_told(PoolDoor::kSleeper, PoolDoor::kLooking);
    drain();
    if (future.done()) return true;
    const std::uint32_t asked = attention_.load(std::memory_order_relaxed) | PoolDoor::kSleeper;  // another than it is: look again at once
    Entry entry;
    if (!arm(self, entry, Interruptible::Yes)) throw_interruption();
    if (!future.enlist(entry)) {
      disarm_granted(self);
      return true;
    }
    const Outcome outcome = self.park_on_word(port::futex_word(attention_), asked, record, deadline);
    future.withdraw(entry);
    if (outcome == kInterrupted) throw_interruption();
    if (outcome == kTimedOut) return false;
    if (future.done()) return true;
  }
}

// ---- fibers ---------------------------------------------------------------------------------------------------------

// Only as long as its task is the only one: nobody else is to depend on how soon its runtime has a worker for it. By the order of
// accept() either we see the other task, or whoever submits it sees that we listen, and ends that. Whoever else may be interested in this one,
// a callback or the end of the pool, depends on it for some milliseconds: see PoolWorker::sleep().
bool ProcessPool::listen_on_fiber(FutureState& future, const Wait& record, Deadline deadline) {
  constexpr std::size_t kDone = 0, kRang = 1;
  if (listening_.exchange(true, std::memory_order_acquire)) return false;
  const InCharge listening{*this, listening_, PoolDoor::kFiber};
  Context& self = current_context();
  for (;;) {
    const std::uint64_t seen = fiber_bell_->readiness(Direction::Read);
    ask_to_be_told(PoolDoor::kFiber);
    drain();
    if (future.done()) return true;
    fiber_bell_->drained(seen, Direction::Read);  // but for a ring since
    if (unfinished_.load(std::memory_order_seq_cst) > 1) return false;
    Entry done, rang;
    if (!arm(self, done, Interruptible::Yes)) throw_interruption();
    share_wait(done, rang, kRang);
    if (!future.enlist(done)) {
      disarm_granted(self);
      return true;
    }
    const int heard = fiber_bell_->enlist(Direction::Read, rang);
    if (heard != 0 && disarm(self)) {
      future.withdraw(done);
      if (heard < 0) return false;  // it cannot listen: the dispatcher will be told
      continue;
    }
    // If it has come true meanwhile the wait is over before it begins.
    const Outcome outcome = park(self, record, deadline);
    fiber_bell_->withdraw(Direction::Read, rang);
    future.withdraw(done);
    if (outcome == kInterrupted) throw_interruption();
    if (outcome == kTimedOut) return false;
    if (selected_case(outcome) == kDone) return true;
  }
}

}  // namespace weft::detail
