#include "process/sync/seated_permits.hpp"

#include <unistd.h>

#include <vector>

#include <weft/base/deadline.hpp>

#include "process/sync/shared_futex.hpp"

namespace weft::process::detail {

std::uint32_t SeatedPermits::free() const noexcept {
  std::uint32_t found = 0;
  for (std::uint32_t i = 0; i < count_; ++i) found += seats()[i].load(std::memory_order_relaxed) == 0 ? 1 : 0;
  return found;
}

bool SeatedPermits::take(bool slept) noexcept {
  bool taken = false;
  for (std::uint32_t i = 0; i < count_ && !taken; ++i) {
    std::uint64_t nobody = 0;
    Seat& seat = seats()[i];
    // seq_cst: after want(), the look that must not miss what was given back before.
    taken = seat.load(std::memory_order_seq_cst) == 0 &&
            seat.compare_exchange_strong(nobody, this_process_stamp(), std::memory_order_acquire, std::memory_order_relaxed);
  }
  if (slept) want();
  return taken;
}

bool SeatedPermits::want() noexcept {
  // seq_cst, and only then the seats: see the class.
  word_.store(kWanted, std::memory_order_seq_cst);
  for (std::uint32_t i = 0; i < count_; ++i) {
    if (seats()[i].load(std::memory_order_seq_cst) != 0) continue;
    wake(1);
    return false;
  }
  return true;
}

void SeatedPermits::wake(std::uint32_t count) noexcept {
  // Of several who come here at once each has made a seat free; one wakes for all, or those whom he wakes do (take()).
  if (word_.load(std::memory_order_seq_cst) == kWanted && word_.exchange(0, std::memory_order_seq_cst) == kWanted)
    (void)shared_wake(word_, static_cast<int>(count));
}

void SeatedPermits::pass_on() noexcept { (void)shared_wake(word_, 1); }

// ---- giving back ----------------------------------------------------------------------------------------------------

bool SeatedPermits::give_back(std::uint32_t permits) {
  if (!(permits == 1 ? give_back_one() : give_back_several(permits))) return false;
  wake(permits);
  return true;
}

bool SeatedPermits::may_give_back(std::uint64_t seat, Whose whose) noexcept {
  if (seat == 0 || (seat & kLeaving)) return false;
  if (whose == Whose::Own) return seat == this_process_stamp();
  return whose == Whose::Anybodys || pid_of(seat) == ::getppid();
}

// seq_cst, and only then the word: see the class. It releases what was done with the permit, too.
bool SeatedPermits::give_back_one() noexcept {
  for (const Whose whose : {Whose::Own, Whose::Parents, Whose::Anybodys}) {
    for (std::uint32_t i = 0; i < count_; ++i) {
      std::uint64_t seen = seats()[i].load(std::memory_order_relaxed);
      while (may_give_back(seen, whose))
        if (seats()[i].compare_exchange_weak(seen, 0, std::memory_order_seq_cst, std::memory_order_relaxed)) return true;
    }
  }
  return false;
}

// All or none: they are set aside first, in the caller's name, so that whoever ends in the middle of it has given them back as well.
bool SeatedPermits::give_back_several(std::uint32_t permits) {
  struct Aside {
    std::uint32_t seat;
    std::uint64_t whose;
  };
  if (permits > count_ - free()) return false;  // a mistake in most cases, which is to disturb nobody
  std::vector<Aside> aside;
  aside.reserve(permits);
  for (const Whose whose : {Whose::Own, Whose::Parents, Whose::Anybodys}) {
    for (std::uint32_t i = 0; i < count_ && aside.size() < permits; ++i) {
      std::uint64_t seen = seats()[i].load(std::memory_order_relaxed);
      while (may_give_back(seen, whose)) {
        if (!seats()[i].compare_exchange_weak(seen, this_process_stamp() | kLeaving, std::memory_order_relaxed)) continue;
        aside.push_back({i, seen});
        break;
      }
    }
  }
  const bool enough = aside.size() == permits;
  for (const Aside& one : aside) seats()[one.seat].store(enough ? 0 : one.whose, std::memory_order_seq_cst);
  return enough;
}

// ---- the dead -------------------------------------------------------------------------------------------------------

/// Gives back what those have who are gone: whether any seat is free now.
template <class Gone>
bool SeatedPermits::bury(Gone is_gone) noexcept {
  ProcessStamp alive = 0;  // often one process has many
  bool found = false;
  bool died = false;
  for (std::uint32_t i = 0; i < count_; ++i) {
    std::uint64_t seen = seats()[i].load(std::memory_order_relaxed);
    const ProcessStamp holder = seen & kStampMask;
    if (holder == 0) found = true;
    if (holder == 0 || holder == alive) continue;
    if (!is_gone(holder)) {
      alive = holder;
      continue;
    }
    // If he has not given it back before he ended it is set aside, so that one alone says of this death, and before the seat is free. Who
    // is killed in between has left a seat of a dead process. acq_rel: passes on what the dead one wrote, as far as it was seen.
    if (!seats()[i].compare_exchange_strong(seen, this_process_stamp() | kLeaving, std::memory_order_acq_rel)) {
      found = found || seen == 0;
      continue;
    }
    holder_died_.store(1, std::memory_order_release);
    seats()[i].store(0, std::memory_order_seq_cst);
    found = died = true;
  }
  if (died) wake(count_);
  return found;
}

bool SeatedPermits::look(void* permits) noexcept {
  return static_cast<SeatedPermits*>(permits)->bury([](ProcessStamp holder) { return watched_process_is_gone(holder); });
}

bool SeatedPermits::take_from_the_dead() noexcept {
  constexpr std::int64_t kInterval = 1'000'000;
  const std::int64_t now = Deadline::now_nanoseconds();
  std::int64_t last = last_look_.load(std::memory_order_relaxed);
  if (now - last < kInterval || !last_look_.compare_exchange_strong(last, now, std::memory_order_relaxed)) return false;
  return bury([](ProcessStamp holder) { return holder != this_process_stamp() && process_is_gone(holder); }) && take(false);
}

}  // namespace weft::process::detail
