// Waiting in several places at once. The claim of the waiter word decides which of them it was, as it decides between a
// grant and a deadline: an object that loses this race goes on to its next waiter.

#include <weft/detail/selectable.hpp>

#include <poll.h>

#include <cstdint>
#include <utility>

#include <weft/detail/armed.hpp>

#include "engine/thread_context.hpp"
#include "port/sanitizer.hpp"

namespace weft::detail {

namespace {

// Chance that is the same in each run, as it is to be with one worker: a sequence for each thread. Never inlined: a
// fiber may be on another thread after it has waited.
thread_local std::uint32_t chance = 2'463'534'242;
[[gnu::noinline]] WEFT_PER_THREAD std::uint32_t next_chance() noexcept {
  asm volatile("");
  std::uint32_t x = chance;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  chance = x;
  return x;
}

class Selection {
 public:
  Selection(Selectable* const* cases, std::size_t count) noexcept : cases_{cases} {
    for (std::size_t i = 0; i < count; ++i) {
      switch (cases[i]->role) {
        case Selectable::Role::Object: insert(i); break;
        case Selectable::Role::Deadline:
          if (by_time_ == kNone || cases[i]->deadline < cases[by_time_]->deadline) by_time_ = i;
          break;
        case Selectable::Role::Otherwise: otherwise_ = i; break;
      }
    }
  }
  Selection(const Selection&) = delete;
  Selection& operator=(const Selection&) = delete;

  std::size_t run() {
    for (;;) {
      for (std::size_t i = 0; i < count_; ++i) {
        if (cases_[order_[i]]->try_now()) return order_[i];
      }
      if (otherwise_ != kNone) return otherwise_;
      if (const std::size_t chosen = wait(); chosen != kNone) return chosen;
      // One that may be ready, again and again, and is not to be had: its lock is held by a process that has been stopped.
      if (by_time_ != kNone && cases_[by_time_]->deadline.has_passed()) return by_time_;
    }
  }

 private:
  static constexpr std::size_t kNone = SIZE_MAX;

  // The order in which they are asked: shuffled.
  void insert(std::size_t index) noexcept {
    const std::size_t place = next_chance() % (count_ + 1);
    order_[count_++] = order_[place];
    order_[place] = static_cast<std::uint8_t>(index);
  }

  // kNone: look again.
  std::size_t wait() {
    Context& self = current_context();
    Entry armed;
    if (!arm(self, armed, Interruptible::Yes)) throw_interruption();
    const bool all_enlisted = enlist_all(armed);
    if (!all_enlisted && disarm(self)) {
      withdraw_all_but(kNone);
      return kNone;
    }
    // If one may be ready, but another has been granted already: the wait is over before it begins.
    const Outcome outcome = all_enlisted ? sleep(self) : park(self, {.kind = WaitKind::Select}, Deadline::never());
    if (outcome == kTimedOut || outcome == kInterrupted) {
      withdraw_all_but(kNone);
      if (outcome == kInterrupted) throw_interruption();
      return by_time_;
    }
    const std::size_t chosen = selected_case(outcome);
    withdraw_all_but(chosen);
    return cases_[chosen]->accept(selected_how(outcome)) ? chosen : kNone;
  }

  bool enlist_all(const Entry& armed) noexcept {
    for (enlisted_ = 0; enlisted_ < count_; ++enlisted_) {
      Selectable& one = *cases_[order_[enlisted_]];
      share_wait(armed, one.entry, order_[enlisted_]);
      if (!one.enlist()) return false;
    }
    if (count_ == 0) fence_before_park();
    return true;
  }

  // The chosen one's entry is in no list any more, and its object may be gone.
  void withdraw_all_but(std::size_t chosen) noexcept {
    for (std::size_t i = 0; i < enlisted_; ++i) {
      if (order_[i] != chosen) cases_[order_[i]]->withdraw();
    }
  }

  Outcome sleep(Context& self) noexcept {
    Wait record{.kind = WaitKind::Select};
    for (std::size_t i = 0; i < count_; ++i) record.outside |= cases_[order_[i]]->outside;
    const Deadline deadline = by_time_ == kNone ? Deadline::never() : cases_[by_time_]->deadline;
    if (!self.is_fiber()) {
      for (std::size_t i = 0; i < count_; ++i) {
        if (cases_[order_[i]]->fd >= 0) return poll(static_cast<ThreadContext&>(self), record, deadline);
      }
    }
    return park(self, record, deadline);
  }

  // A thread polls for itself what fibers leave to the reactor.
  Outcome poll(ThreadContext& self, const Wait& record, Deadline deadline) noexcept {
    pollfd polled[kMostSelectCases + 1];
    Outcome outcomes[kMostSelectCases];
    std::size_t count = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const Selectable& one = *cases_[order_[i]];
      if (one.fd < 0) continue;
      polled[count] = {one.fd, one.events, 0};
      outcomes[count++] = one.entry.index;
    }
    return self.park_on({polled, outcomes, count}, record, deadline);
  }

  Selectable* const* cases_;
  std::uint8_t order_[kMostSelectCases];  // of those that are objects
  std::size_t count_ = 0;
  std::size_t enlisted_ = 0;  // so many of them, in this order
  std::size_t by_time_ = kNone;
  std::size_t otherwise_ = kNone;
};

}  // namespace

std::size_t select_among(Selectable* const* cases, std::size_t count) { return Selection{cases, count}.run(); }

}  // namespace weft::detail
