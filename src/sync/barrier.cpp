#include <weft/sync/barrier.hpp>

#include <mutex>
#include <utility>

#include <weft/base/error.hpp>

namespace weft {

namespace {

[[noreturn]] void fail_broken() {
  throw BrokenBarrierError{"wait for a Barrier: it is broken, or was reset, so that not all parties can come"};
}

std::uint32_t checked(std::uint32_t parties) {
  if (parties == 0) throw InvalidStateError{"a Barrier needs at least one party"};
  return parties;
}

}  // namespace

/// One that waits, on its stack: a waiter may look only when many more rounds have passed, so each is told how its own ended.
struct Barrier::Waiter {
  enum class End { None, Complete, Broken };
  Waiter* next = nullptr;
  End end = End::None;
};

Barrier::Barrier(std::uint32_t parties, UniqueFunction<void()> action, const char* name, std::source_location site)
    : parties_{checked(parties)}, action_{std::move(action)}, lock_{name, site}, changed_{name, site} {}

std::uint32_t Barrier::wait_until(Deadline deadline) {
  std::unique_lock guard{lock_};
  const auto may_enter = [&] { return !acting_ || broken_; };
  if (!changed_.wait_until(guard, deadline, may_enter)) {
    // The round whose action runs is complete, and goes on. The one that was to follow cannot be.
    broken_ = true;
    changed_.notify_all();
  }
  if (broken_) fail_broken();
  const std::uint32_t place = waiting_++;
  if (waiting_ == parties_) {
    if (!run_action(guard)) fail_broken();
    end_round(true);
    return place;
  }
  Waiter self;
  enlist(self);
  bool in_time = false;
  try {
    in_time = changed_.wait_until(guard, deadline, [&] { return self.end != Waiter::End::None; });
  } catch (...) {
    // Killed; the lock is held again. What was granted before is returned: the kill comes with the next blocking call.
    if (self.end == Waiter::End::Complete) return place;
    if (self.end == Waiter::End::None) {
      broken_ = true;
      end_round(false);
    }
    throw;
  }
  if (!in_time) {
    broken_ = true;
    end_round(false);
  }
  if (self.end != Waiter::End::Complete) fail_broken();
  return place;
}

// Not inlined: GCC 12 would warn of a pointer that outlives its object, which end_round() sees to that it does not.
[[gnu::noinline]] void Barrier::enlist(Waiter& waiter) noexcept { waiter.next = std::exchange(waiters_, &waiter); }

// Without the lock, so that the action may ask the barrier, and others may break it. False: they did.
bool Barrier::run_action(std::unique_lock<Lock>& guard) {
  if (!action_) return true;
  acting_ = true;
  cut_ = false;
  guard.unlock();
  try {
    action_();
  } catch (...) {
    guard.lock();
    acting_ = false;
    if (!cut_) {
      broken_ = true;
      end_round(false);
    }
    changed_.notify_all();
    throw;
  }
  guard.lock();
  acting_ = false;
  if (cut_) changed_.notify_all();  // those who came meanwhile
  return !cut_;
}

void Barrier::end_round(bool complete) noexcept {
  for (Waiter* waiter = std::exchange(waiters_, nullptr); waiter; waiter = waiter->next) {
    waiter->end = complete ? Waiter::End::Complete : Waiter::End::Broken;
  }
  waiting_ = 0;
  changed_.notify_all();
}

void Barrier::abort() {
  const std::lock_guard guard{lock_};
  broken_ = true;
  cut_ = true;
  end_round(false);
}

void Barrier::reset() {
  const std::lock_guard guard{lock_};
  broken_ = false;
  cut_ = true;
  end_round(false);
}

std::uint32_t Barrier::waiting() const {
  const std::lock_guard guard{lock_};
  return waiting_;
}

bool Barrier::broken() const {
  const std::lock_guard guard{lock_};
  return broken_;
}

}  // namespace weft
