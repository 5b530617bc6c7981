#include "engine/reactor.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <string>

#include <weft/base/error.hpp>

#include "engine/descriptor.hpp"
#include "engine/foreign_descriptors.hpp"
#include "engine/spin_lock.hpp"
#include "port/sanitizer.hpp"

namespace weft::detail {

namespace {

constexpr int kBatch = 128;
constexpr std::uint64_t kWakeUp = 0, kForeign = 1;  // what events say that are of no descriptor; no address is so low
constexpr int kGenerationShift = 48;  // user-space addresses have 47 bits

SpinLock lock;
Reactor* all[Reactor::kMost];  // guarded by lock; made once, never destroyed
std::uint64_t in_use = 0;      // guarded by lock

std::uint64_t tag(const Descriptor& descriptor, std::uint16_t generation) {
  return reinterpret_cast<std::uintptr_t>(&descriptor) | std::uint64_t{generation} << kGenerationShift;
}

// Bare system calls, here and in wake(): ThreadSanitizer takes the library's for synchronization between whatever fibers run
// when one worker wakes another, and would miss their races.
int bare_epoll_wait(int epoll, epoll_event* events, int milliseconds) noexcept {
  return static_cast<int>(::syscall(SYS_epoll_pwait, epoll, events, kBatch, milliseconds, nullptr, std::size_t{8}));
}

int wait_for_events(int epoll, epoll_event* events, Deadline deadline) noexcept {
  if (deadline.is_never()) return bare_epoll_wait(epoll, events, -1);
  const std::int64_t ns = deadline == Deadline::already() ? 0 : deadline.remaining().count();
  if (ns == 0) return bare_epoll_wait(epoll, events, 0);
  // epoll_pwait2 (Linux 5.11) counts in nanoseconds; elsewhere a millisecond too long.
  static std::atomic<bool> precise{true};
  if (precise.load(std::memory_order_relaxed)) {
    timespec left{ns / 1'000'000'000, ns % 1'000'000'000};
    const long ready = ::syscall(SYS_epoll_pwait2, epoll, events, kBatch, &left, nullptr, 0);
    if (ready >= 0 || errno != ENOSYS) return static_cast<int>(ready);
    precise.store(false, std::memory_order_relaxed);
  }
  constexpr std::int64_t kLongest = 1'000'000;  // milliseconds; a longer sleep is taken in pieces
  return bare_epoll_wait(epoll, events, static_cast<int>(std::min(ns / 1'000'000 + 1, kLongest)));
}

}  // namespace

Reactor::Reactor(unsigned number) : number_{number} {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) throw OSError{errno, "create an epoll instance"};
  wake_event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // never read: each write is a new edge
  event.data.u64 = kWakeUp;
  if (wake_event_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_event_, &event) < 0) {
    const int error = errno;
    if (wake_event_ >= 0) ::close(wake_event_);
    ::close(epoll_);
    throw OSError{error, "create the event that wakes a reactor"};
  }
}

Reactor& Reactor::take() {
  const std::lock_guard guard{lock};
  for (unsigned number = 0; number < kMost; ++number) {
    if (in_use >> number & 1) continue;
    if (!all[number]) all[number] = new Reactor{number};
    in_use |= std::uint64_t{1} << number;
    return *all[number];
  }
  throw Error{"at most " + std::to_string(kMost) + " runtimes can exist at once"};
}

void Reactor::give_back(Reactor& reactor) noexcept {
  const std::lock_guard guard{lock};
  in_use &= ~reactor.bit();
}

void Reactor::forget_all() noexcept {
  for (Reactor*& reactor : all) reactor = nullptr;
  in_use = 0;
}

void Reactor::lock_for_fork() noexcept { lock.lock(); }
void Reactor::unlock_after_fork() noexcept { lock.unlock(); }

Reactor* Reactor::numbered(unsigned number) noexcept { return all[number]; }

int Reactor::add(int fd, Descriptor& descriptor, std::uint16_t generation) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;
  event.data.u64 = tag(descriptor, generation);
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0) return 0;
  if (errno == EEXIST && ::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0) return 0;
  return -errno;
}

// Level-triggered: what one poll leaves behind, the next finds.
int Reactor::watch_foreign(int foreign_epoll) noexcept {
  if (watches_foreign_.load(std::memory_order_acquire)) return 0;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kForeign;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, foreign_epoll, &event) < 0 && errno != EEXIST) return -errno;
  watches_foreign_.store(true, std::memory_order_release);
  return 0;
}

void Reactor::remove(int fd) noexcept { ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }

// On the stack of a worker's thread or of a fiber that yields or ends. Nothing in here switches: errno stays this thread's.
void Reactor::poll(Deadline deadline) noexcept {
  epoll_event events[kBatch];
  const int count = wait_for_events(epoll_, events, deadline);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t data = events[i].data.u64;
    if (data <= kForeign) {
      if (data == kForeign) poll_foreign_descriptors();
      continue;
    }
    auto* descriptor = reinterpret_cast<Descriptor*>(data & ((std::uint64_t{1} << kGenerationShift) - 1));
    port::sanitizer_acquire(descriptor);  // it was made before it was added, as the kernel sees to
    descriptor->on_events(static_cast<std::uint16_t>(data >> kGenerationShift), events[i].events);
  }
}

void Reactor::wake() noexcept {
  const std::uint64_t one = 1;
  ::syscall(SYS_write, wake_event_, &one, sizeof one);
}

}  // namespace weft::detail
