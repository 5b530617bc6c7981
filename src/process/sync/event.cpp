#include <weft/process/event.hpp>

#include <atomic>

#include "process/sync/shared_futex.hpp"
#include "process/sync/shared_object.hpp"

namespace weft::process {

using detail::EventState;
using detail::SharedObject;
using weft::detail::Interruptible;
using weft::detail::Outcome;
using weft::detail::WaitKind;

/// The word: bit 0 set, bit 1: somebody may sleep, bits 2-31 how often it was set, by which a waiter knows that it
/// was while he slept. Nobody sleeps on a word that says set; set() and its being told are one step, then all are
/// woken. A kill in between: the word is not what sleepers expect, and shared_wait() notices.
struct detail::EventState {
  static constexpr std::uint32_t kSet = 1, kContended = 2, kOne = 4, kTimes = ~std::uint32_t{3};

  std::atomic<std::uint32_t> word{0};
};

Event::Event(const char* name, std::source_location site)
    : Event{SharedObject::make(SharedObject::Kind::Event, sizeof(EventState), name), site} {}

Event::Event(std::shared_ptr<SharedObject> object, std::source_location site) noexcept
    : object_{std::move(object)}, state_{&object_->as<EventState>()}, label_{object_->label(site)} {}

bool Event::is_set() const noexcept { return (state_->word.load(std::memory_order_acquire) & EventState::kSet) != 0; }

void Event::set() noexcept {
  std::uint32_t seen = state_->word.load(std::memory_order_relaxed);
  do {
    // Set already: what we wrote before is to be visible all the same, to whoever looks from now on.
    if (seen & EventState::kSet) {
      if (state_->word.compare_exchange_weak(seen, seen, std::memory_order_release, std::memory_order_relaxed)) return;
      continue;
    }
    const std::uint32_t set = ((seen & EventState::kTimes) + EventState::kOne) | EventState::kSet;
    if (state_->word.compare_exchange_weak(seen, set, std::memory_order_release, std::memory_order_relaxed)) break;
  } while (true);
  if (seen & EventState::kContended) detail::shared_wake(state_->word, detail::kWakeAll);
}

void Event::clear() noexcept { state_->word.fetch_and(~EventState::kSet, std::memory_order_acq_rel); }

bool Event::wait_until(Deadline deadline) {
  std::uint32_t seen = state_->word.load(std::memory_order_acquire);
  const std::uint32_t times = seen & EventState::kTimes;
  const auto was_set = [&] { return (seen & EventState::kSet) || (seen & EventState::kTimes) != times; };
  while (!was_set()) {
    if (!(seen & EventState::kContended) &&
        !state_->word.compare_exchange_weak(seen, seen | EventState::kContended, std::memory_order_acquire,
                                            std::memory_order_acquire)) {
      continue;
    }
    const Outcome outcome = detail::shared_wait(state_->word, seen | EventState::kContended,
                                                {.kind = WaitKind::Event, .object = state_, .label = label_, .outside = true},
                                                deadline, Interruptible::Yes);
    if (outcome == weft::detail::kInterrupted) weft::detail::throw_interruption();
    seen = state_->word.load(std::memory_order_acquire);
    if (outcome == weft::detail::kTimedOut) return was_set();
  }
  return true;
}

// Set while select() slept is set, even if it was cleared since.
bool Event::SetWay::take(bool slept) {
  const std::uint32_t seen = state_->word.load(std::memory_order_acquire);
  return (seen & EventState::kSet) || (slept && (seen & EventState::kTimes) != times_);
}

bool Event::SetWay::expect(detail::SharedWaiter& waiter) noexcept {
  std::uint32_t seen = state_->word.load(std::memory_order_acquire);
  do {
    if (seen & EventState::kSet) return false;
  } while (!(seen & EventState::kContended) &&
           !state_->word.compare_exchange_weak(seen, seen | EventState::kContended, std::memory_order_acquire));
  times_ = seen & EventState::kTimes;
  waiter.word = &state_->word;
  waiter.expected = seen | EventState::kContended;
  return true;
}

void Transfer<Event>::send(Outgoing& out, const Event& event) { event.object_->send(out); }

Event Transfer<Event>::receive(Incoming& in) {
  return Event{SharedObject::receive(in, SharedObject::Kind::Event, sizeof(EventState)), std::source_location{}};
}

}  // namespace weft::process
