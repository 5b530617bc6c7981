// Mutexes of C libraries. One is held by a thread; fibers that take turns on a thread would lock each other, and
// the thread, out, if one waited with a mutex locked and the next one wanted it. So waiting with one is reported,
// and a fiber that wants such a mutex does not block: it lets others run until the holder has gone on and unlocked
// it.

#include "patch/locks.hpp"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>

#include "patch/call.hpp"
#include "patch/message.hpp"
#include "patch/real.hpp"

namespace weft::patch {

WEFT_PATCH_REAL(pthread_mutex_lock);
WEFT_PATCH_REAL(pthread_mutex_trylock);
WEFT_PATCH_REAL(pthread_mutex_timedlock);
WEFT_PATCH_REAL(pthread_mutex_clocklock);
WEFT_PATCH_REAL(pthread_mutex_unlock);

namespace {

using detail::ForeignLocks;

// ---- who waits and holds some ----------------------------------------------------------------------------------------

std::atomic<bool> list_locked{false};
WaitingWithLocks* first_waiting = nullptr;  // guarded by list_locked
std::atomic<unsigned> waiting_now{0};       // a hint for those who lock

class ListLock {
 public:
  ListLock() noexcept {
    while (list_locked.exchange(true, std::memory_order_acquire)) ::sched_yield();
  }
  ~ListLock() { list_locked.store(false, std::memory_order_release); }
  ListLock(const ListLock&) = delete;
  ListLock& operator=(const ListLock&) = delete;
};

/// Whether this pair of places is new. When the table is full, everything is old.
bool is_first_report(const void* caller, const void* locked_at) noexcept {
  static std::atomic<std::uintptr_t> seen[256];
  const std::uintptr_t place =
      reinterpret_cast<std::uintptr_t>(caller) * 31 + reinterpret_cast<std::uintptr_t>(locked_at);
  for (auto& slot : seen) {
    std::uintptr_t before = slot.load(std::memory_order_relaxed);
    if (before == 0 && slot.compare_exchange_strong(before, place, std::memory_order_relaxed)) return true;
    if (before == place) return false;
  }
  return false;
}

void report(const Call& call, const ForeignLocks& locks) noexcept {
  const std::uint32_t known = std::min(locks.count, ForeignLocks::kMost);
  const ForeignLocks::Held& last = locks.held[known - 1];
  if (is_quiet() || !is_first_report(call.caller(), last.locked_at)) return;
  char fiber[64];
  engine()->name(fiber, sizeof fiber);
  Message message;
  message.add("weft-patch: fiber \"%s\" waits in %s(), called at ", fiber, call.name());
  message.add_place(call.caller());
  message.add(", while it holds %u pthread mutex%s, the last one locked at ", static_cast<unsigned>(locks.count),
              locks.count == 1 ? "" : "es");
  message.add_place(last.locked_at);
  message.add(
      ". Who else wants it has to wait, a thread by blocking: unlock it before calls that wait, or use weft::Lock\n");
  message.write();
}

}  // namespace

WaitingWithLocks::WaitingWithLocks(const Call& call) noexcept {
  const ForeignLocks* locks = engine()->locks();
  if (!locks || locks->count == 0) [[likely]]
    return;
  locks_ = locks;
  report(call, *locks);
  const ListLock guard;
  next_ = first_waiting;
  if (next_) next_->previous_ = this;
  first_waiting = this;
  waiting_now.fetch_add(1, std::memory_order_relaxed);
}

void WaitingWithLocks::leave() noexcept {
  const ListLock guard;
  (previous_ ? previous_->next_ : first_waiting) = next_;
  if (next_) next_->previous_ = previous_;
  waiting_now.fetch_sub(1, std::memory_order_relaxed);
}

bool WaitingWithLocks::holds(const void* mutex) const noexcept {
  const std::uint32_t known = std::min(locks_->count, ForeignLocks::kMost);
  return std::any_of(locks_->held, locks_->held + known,
                     [=](const ForeignLocks::Held& held) { return held.mutex == mutex; });
}

bool WaitingWithLocks::one_holds(const void* mutex) noexcept {
  if (waiting_now.load(std::memory_order_relaxed) == 0) [[likely]]
    return false;
  const ListLock guard;
  for (const WaitingWithLocks* waiting = first_waiting; waiting; waiting = waiting->next_) {
    if (waiting->holds(mutex)) return true;
  }
  return false;
}

void WaitingWithLocks::forget_all() noexcept {
  first_waiting = nullptr;
  waiting_now.store(0, std::memory_order_relaxed);
  list_locked.store(false, std::memory_order_relaxed);
}

namespace {

// ---- locking ---------------------------------------------------------------------------------------------------------

ForeignLocks* locks_of_fiber() noexcept {
  const detail::ForeignCalls* const found = engine();
  return found ? found->locks() : nullptr;
}

int remember(ForeignLocks& locks, void* mutex, const void* caller, int result) noexcept {
  if (result != 0 && result != EOWNERDEAD) return result;
  if (locks.count < ForeignLocks::kMost) locks.held[locks.count] = {mutex, caller};
  ++locks.count;
  return result;
}

void forget(ForeignLocks& locks, const void* mutex) noexcept {
  const std::uint32_t known = std::min(locks.count, ForeignLocks::kMost);
  for (std::uint32_t i = known; i-- > 0;) {
    if (locks.held[i].mutex != mutex) continue;
    std::copy(locks.held + i + 1, locks.held + known, locks.held + i);
    --locks.count;
    return;
  }
  if (locks.count > ForeignLocks::kMost) --locks.count;
}

/// Tries again and again, and lets others run in between. Once it has begun it never blocks: its holder, gone on,
/// may be waiting to run on this very thread. trylock alone will not do, as it takes all fibers of a thread for one
/// owner.
template <class Expired>
int lock_while_others_run(const Call& call, pthread_mutex_t* mutex, Expired expired) noexcept {
  auto pause = std::chrono::microseconds{20};
  for (;;) {
    if (!WaitingWithLocks::one_holds(mutex)) {
      const int result = real_pthread_mutex_trylock(mutex);
      if (result != EBUSY) return result;
    }
    if (expired()) return ETIMEDOUT;
    call.sleep_until(Deadline::after(pause));
    pause = std::min(2 * pause, std::chrono::microseconds{1000});
  }
}

bool must_let_others_run(pthread_mutex_t* mutex) noexcept {
  return WaitingWithLocks::one_holds(mutex) && on_fiber();
}

auto passed(clockid_t clock, const timespec& time) noexcept {
  return [clock, time] {
    timespec now{};
    ::clock_gettime(clock, &now);
    return now.tv_sec > time.tv_sec || (now.tv_sec == time.tv_sec && now.tv_nsec >= time.tv_nsec);
  };
}

}  // namespace

}  // namespace weft::patch

using weft::patch::Call;

WEFT_PATCHES int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  using namespace weft::patch;
  ForeignLocks* const locks = locks_of_fiber();
  if (!locks) return real_pthread_mutex_lock(mutex);
  WEFT_PATCH_CALL("pthread_mutex_lock");
  const int result = must_let_others_run(mutex) ? lock_while_others_run(call, mutex, [] { return false; })
                                                : real_pthread_mutex_lock(mutex);
  return remember(*locks, mutex, call.caller(), result);
}

WEFT_PATCHES int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  using namespace weft::patch;
  ForeignLocks* const locks = locks_of_fiber();
  if (!locks) return real_pthread_mutex_trylock(mutex);
  if (WaitingWithLocks::one_holds(mutex)) return EBUSY;
  return remember(*locks, mutex, __builtin_return_address(0), real_pthread_mutex_trylock(mutex));
}

WEFT_PATCHES int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* time) noexcept {
  using namespace weft::patch;
  ForeignLocks* const locks = locks_of_fiber();
  if (!locks) return real_pthread_mutex_timedlock(mutex, time);
  WEFT_PATCH_CALL("pthread_mutex_timedlock");
  const int result = must_let_others_run(mutex) ? lock_while_others_run(call, mutex, passed(CLOCK_REALTIME, *time))
                                                : real_pthread_mutex_timedlock(mutex, time);
  return remember(*locks, mutex, call.caller(), result);
}

WEFT_PATCHES int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* time) noexcept {
  using namespace weft::patch;
  ForeignLocks* const locks = locks_of_fiber();
  if (!locks) return real_pthread_mutex_clocklock(mutex, clock, time);
  WEFT_PATCH_CALL("pthread_mutex_clocklock");
  const int result = must_let_others_run(mutex) ? lock_while_others_run(call, mutex, passed(clock, *time))
                                                : real_pthread_mutex_clocklock(mutex, clock, time);
  return remember(*locks, mutex, call.caller(), result);
}

WEFT_PATCHES int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  using namespace weft::patch;
  if (ForeignLocks* const locks = locks_of_fiber()) forget(*locks, mutex);
  return real_pthread_mutex_unlock(mutex);
}
