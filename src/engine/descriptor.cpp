#include "engine/descriptor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include <weft/base/error.hpp>

#include "engine/fiber_context.hpp"
#include "engine/reactor.hpp"
#include "engine/scheduler.hpp"
#include "engine/spin_lock.hpp"
#include "engine/thread_context.hpp"
#include "engine/worker.hpp"
#include "port/sanitizer.hpp"

namespace weft::detail {

namespace {

SpinLock pool_lock;
Descriptor* pool = nullptr;      // guarded by pool_lock
Descriptor* all_made = nullptr;  // guarded by pool_lock

WaitKind kind_of(Descriptor::Direction direction) {
  return direction == Descriptor::Direction::Read ? WaitKind::Read : WaitKind::Write;
}

// As weft::yield(), but no cancellation point. What is waited for may need this very worker to go on.
void let_others_run() noexcept {
  Context& self = current_context();
  if (self.is_fiber()) {
    auto& fiber = static_cast<FiberContext&>(self);
    fiber.worker->yield(fiber);
  } else {
    ::sched_yield();
  }
}

}  // namespace

Descriptor* Descriptor::adopt(int fd, Nature nature, Mode mode) {
  const int flags = ::fcntl(fd, F_GETFL);
  const bool must_change = mode == Mode::NonBlocking && !(flags & O_NONBLOCK);
  if (flags < 0 || (must_change && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)) {
    throw OSError{errno, "adopt descriptor", std::to_string(fd)};
  }
  Descriptor* descriptor = nullptr;
  {
    const std::lock_guard guard{pool_lock};
    descriptor = pool;
    if (descriptor) pool = descriptor->next_free_;
  }
  if (!descriptor) {
    descriptor = new Descriptor;
    port::sanitizer_release(descriptor);  // for Reactor::poll()
    const std::lock_guard guard{pool_lock};
    descriptor->next_made_ = all_made;
    all_made = descriptor;
  }
  descriptor->fd_.store(fd, std::memory_order_relaxed);
  descriptor->nature_ = nature;
  descriptor->reactors_.store(0, std::memory_order_relaxed);
  {
    // Under the bit: a reactor may just be looking at a late event of the former owner.
    Guard guard{descriptor->state_};
    guard.set_value(kReadable | kWritable);  // unknown yet: the first call finds out
  }
  descriptor->users_.store(0, std::memory_order_release);
  return descriptor;
}

void Descriptor::drained(std::uint64_t seen, Direction direction) noexcept {
  // Only if no event came since `seen`: otherwise the readiness is newer than what the call found. Another thread may
  // have changed the other direction's bit meanwhile, that is no event.
  const std::uint64_t events = ~(kEventOne - 1);
  std::uint64_t now = state_.load(std::memory_order_relaxed);
  while ((now & events) == (seen & events) && (now & ready_bit(direction))) {
    if (now & kList) {
      Guard guard{state_};
      if ((guard.value() & events) == (seen & events)) guard.set_value(guard.value() & ~ready_bit(direction));
      return;
    }
    if (state_.compare_exchange_weak(now, now & ~ready_bit(direction), std::memory_order_acq_rel,
                                     std::memory_order_relaxed)) {
      return;
    }
  }
}

int Descriptor::wait(Direction direction, Deadline deadline) noexcept {
  return wait(direction, deadline, {.kind = kind_of(direction), .object = this});
}

int Descriptor::wait(Direction direction, Deadline deadline, const Wait& record) noexcept {
  return current_context().is_fiber() ? wait_on_fiber(direction, deadline, record) : wait_on_thread(direction, deadline, record);
}

int Descriptor::register_here() noexcept {
  Reactor& reactor = current_scheduler().reactor();
  if (reactors_.load(std::memory_order_acquire) & reactor.bit()) return 0;
  // Under the list bit, so that two fibers do not both add it. epoll_ctl does not block.
  Guard guard{state_};
  if (reactors_.load(std::memory_order_relaxed) & reactor.bit()) return 0;
  const int result = reactor.add(fd(), *this, generation_.load(std::memory_order_relaxed));
  if (result == 0) reactors_.fetch_or(reactor.bit(), std::memory_order_release);
  return result;
}

int Descriptor::wait_on_fiber(Direction direction, Deadline deadline, const Wait& record) noexcept {
  // Adding reports what is ready already: nothing is lost between the call that found nothing and this.
  if (const int result = register_here(); result < 0) return result;
  Context& self = current_context();
  Entry entry;
  if (!arm(self, entry, Interruptible::Yes)) return -ECANCELED;
  if (const int result = link(direction, entry, true); result != 0) {
    disarm_granted(self);
    return std::min(result, 0);
  }
  return finish_wait(direction, entry, park(self, record, deadline));
}

// 0, 1: ready, -EBADF.
int Descriptor::link(Direction direction, Entry& entry, bool heeds_readiness) noexcept {
  Guard guard{state_};
  if (users_.load(std::memory_order_relaxed) & kClosedForUse) return -EBADF;
  if (heeds_readiness && (guard.value() & ready_bit(direction))) return 1;
  waiters(direction).push_back(entry);
  return 0;
}

// A thread asks the kernel itself: no hop through a worker, and no runtime need exist.
int Descriptor::wait_on_thread(Direction direction, Deadline deadline, const Wait& record) noexcept {
  Context& self = current_context();
  Entry entry;
  if (!arm(self, entry, Interruptible::Yes)) return -ECANCELED;
  if (const int result = link(direction, entry, false); result != 0) {  // for close()
    disarm_granted(self);
    return result;
  }
  pollfd polled[2] = {{fd(), poll_events(direction), 0}};
  const Outcome outcome = static_cast<ThreadContext&>(self).park_on({polled, &kFired, 1}, record, deadline);
  const int result = finish_wait(direction, entry, outcome);
  if (result == 0) note_ready(direction);
  return result;
}

short Descriptor::poll_events(Direction direction) noexcept {
  return static_cast<short>(direction == Direction::Read ? POLLIN | POLLRDHUP : POLLOUT);
}

// Polling is level-triggered: what it saw is news to a reader that had drained the descriptor.
void Descriptor::note_ready(Direction direction) noexcept {
  Guard guard{state_};
  guard.set_value((guard.value() + kEventOne) | ready_bit(direction));
}

int Descriptor::enlist(Direction direction, Entry& entry) noexcept {
  if (!entry.context->is_fiber()) return link(direction, entry, false);
  if (const int result = register_here(); result < 0) return result;
  return link(direction, entry, true);
}

void Descriptor::withdraw(Direction direction, Entry& entry) noexcept {
  Guard guard{state_};
  if (entry.linked) waiters(direction).remove(entry);
}

int Descriptor::finish_wait(Direction direction, Entry& entry, Outcome outcome) noexcept {
  withdraw(direction, entry);
  switch (outcome) {
    case kFired: return 0;
    case kClosed: return -EBADF;
    case kInterrupted: return -ECANCELED;
    default: return -ETIMEDOUT;
  }
}

void Descriptor::on_events(std::uint16_t generation, std::uint32_t events) noexcept {
  Entry* readers = nullptr;
  Entry* writers = nullptr;
  {
    Guard guard{state_};
    // An event of a former owner of this memory, fetched before it closed.
    if (generation != generation_.load(std::memory_order_relaxed)) return;
    std::uint64_t value = guard.value() + kEventOne;
    constexpr std::uint32_t kEnd = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (events & (kEnd | EPOLLPRI)) value |= kTrustNoShortRead;
    if (events & (EPOLLIN | EPOLLPRI | kEnd)) {
      value |= kReadable;
      readers = readers_.claim_all();
    }
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
      value |= kWritable;
      writers = writers_.claim_all();
    }
    guard.set_value(value);
  }
  deliver_all(readers);
  deliver_all(writers);
}

// ---- the end ---------------------------------------------------------------------------------------------------------

void Descriptor::wake_everybody() noexcept {
  Entry* readers = nullptr;
  Entry* writers = nullptr;
  {
    Guard guard{state_};
    readers = readers_.claim_all(kClosed);
    writers = writers_.claim_all(kClosed);
  }
  deliver_all(readers);
  deliver_all(writers);
}

// First the flag, then the waiters: one that links itself later finds the flag under the list bit.
void Descriptor::mark_closed() noexcept {
  users_.fetch_or(kClosedForUse, std::memory_order_acq_rel);
  wake_everybody();
}

void Descriptor::close() noexcept {
  if (!enter()) return;
  mark_closed();
  leave();
}

int Descriptor::release_fd() noexcept {
  if (!enter()) return -1;
  const int fd = fd_.exchange(-1, std::memory_order_acq_rel);
  mark_closed();
  while (users_.load(std::memory_order_acquire) >= 2 * kUser) let_others_run();
  if (fd >= 0) forget_registrations(fd);
  leave();
  return fd;
}

void Descriptor::dispose() noexcept {
  close();
  // Either nobody is inside, or whoever leaves last finds the flag.
  if (users_.fetch_or(kDisposed, std::memory_order_acq_rel) == kClosedForUse) recycle();
}

// Whoever is about to leave as the last closes first, while still counted: nobody else can then be given this memory.
void Descriptor::leave_closed() noexcept {
  std::uint32_t seen = users_.load(std::memory_order_acquire);
  for (;;) {
    if (seen / kUser == 1) close_fd();
    if (users_.compare_exchange_weak(seen, seen - kUser, std::memory_order_acq_rel, std::memory_order_acquire)) break;
  }
  if (seen - kUser == (kClosedForUse | kDisposed)) recycle();
}

void Descriptor::close_fd() noexcept {
  const int fd = fd_.exchange(-1, std::memory_order_acq_rel);
  if (fd < 0) return;
  forget_registrations(fd);
  ::close(fd);
}

void Descriptor::lock_for_fork() noexcept { pool_lock.lock(); }
void Descriptor::unlock_after_fork() noexcept { pool_lock.unlock(); }

void Descriptor::forget_waiters() noexcept {
  for (Descriptor* descriptor = all_made; descriptor; descriptor = descriptor->next_made_) {
    descriptor->reactors_.store(0, std::memory_order_relaxed);
    descriptor->readers_ = WaitList{};
    descriptor->writers_ = WaitList{};
    descriptor->state_.fetch_and(~kList, std::memory_order_relaxed);
    descriptor->users_.fetch_and(kClosedForUse | kDisposed, std::memory_order_relaxed);
  }
}

// A duplicate of the descriptor, in another process perhaps, would keep it registered after our close.
void Descriptor::forget_registrations(int fd) noexcept {
  std::uint64_t registered = reactors_.exchange(0, std::memory_order_acq_rel);
  for (unsigned number = 0; registered != 0; ++number, registered >>= 1) {
    if (registered & 1) Reactor::numbered(number)->remove(fd);
  }
}

void Descriptor::recycle() noexcept {
  {
    Guard guard{state_};
    generation_.fetch_add(1, std::memory_order_relaxed);
  }
  const std::lock_guard guard{pool_lock};
  next_free_ = pool;
  pool = this;
}

}  // namespace weft::detail
