#include "engine/foreign_descriptors.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>

#include "engine/reactor.hpp"
#include "engine/scheduler.hpp"

namespace weft::detail {

namespace {

constexpr unsigned kInChunk = 256;
constexpr unsigned kChunks = 4096;  // 2^20 numbers: what the kernel allows unless told otherwise (fs.nr_open)

struct Chunk {
  ForeignDescriptor descriptors[kInChunk];
};

std::atomic<Chunk*> chunks[kChunks];  // made once, never freed: a late event may point there
std::atomic<int> epoll_instance{-1};
std::atomic<pid_t> owner{0};  // of the epoll instance

// System calls about the epoll instance are bare, all of them. close() would be the patched one, which comes back here; and
// ThreadSanitizer, which keeps an account of each descriptor, would take a number that was closed behind its back for still in
// use, and the next descriptor of that number for a race. For epoll_wait: see reactor.cpp.
int bare_epoll_ctl(int epoll, int operation, unsigned fd, epoll_event* event) noexcept {
  return ::syscall(SYS_epoll_ctl, epoll, operation, static_cast<int>(fd), event) == 0 ? 0 : -errno;
}

int make_epoll() noexcept {
  const int made = static_cast<int>(::syscall(SYS_epoll_create1, EPOLL_CLOEXEC));
  if (made < 0) return -errno;
  int nobodys = -1;
  if (epoll_instance.compare_exchange_strong(nobodys, made, std::memory_order_acq_rel)) {
    owner.store(::getpid(), std::memory_order_relaxed);
    return made;
  }
  ::syscall(SYS_close, made);  // another fiber was faster
  return nobodys;
}

std::uint32_t mask_of(short events) {
  return static_cast<std::uint16_t>(events);
}  // bit for bit epoll's

}  // namespace

ForeignDescriptor* ForeignDescriptor::at(unsigned fd) noexcept {
  if (fd / kInChunk >= kChunks) return nullptr;
  std::atomic<Chunk*>& place = chunks[fd / kInChunk];
  Chunk* chunk = place.load(std::memory_order_acquire);
  if (!chunk) {
    std::unique_ptr<Chunk> made{new (std::nothrow) Chunk};
    if (!made) return nullptr;
    if (place.compare_exchange_strong(chunk, made.get(), std::memory_order_acq_rel)) chunk = made.release();
  }
  return &chunk->descriptors[fd % kInChunk];
}

ForeignDescriptor* ForeignDescriptor::used(unsigned fd) noexcept {
  if (fd / kInChunk >= kChunks) return nullptr;
  Chunk* chunk = chunks[fd / kInChunk].load(std::memory_order_acquire);
  if (!chunk) return nullptr;
  ForeignDescriptor& descriptor = chunk->descriptors[fd % kInChunk];
  return descriptor.state_.load(std::memory_order_acquire) != 0 ? &descriptor : nullptr;
}

// With the list bit held, so that of two fibers the one that comes later asks for what both want. epoll_ctl
// does not block.
int ForeignDescriptor::ask_for_events(unsigned fd) const noexcept {
  epoll_event event{};
  event.events = EPOLLONESHOT;
  event.data.u32 = fd;
  for (const Entry* entry = waiters_.front(); entry; entry = entry->next) event.events |= entry->tag;
  const int epoll = epoll_instance.load(std::memory_order_acquire);
  const int result = bare_epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
  return result == -ENOENT ? bare_epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) : result;
}

int ForeignDescriptor::enlist(unsigned fd, Entry& entry, short events) noexcept {
  Guard guard{state_};
  entry.tag = mask_of(events);
  waiters_.push_back(entry);
  const int result = ask_for_events(fd);
  if (result == 0) {
    guard.set_value(guard.value() | kUsed);
  } else {
    waiters_.remove(entry);
  }
  return result;
}

// What it asked for stays registered: if that happens, nobody is found, and the registration has had its one event.
void ForeignDescriptor::withdraw(Entry& entry) noexcept {
  Guard guard{state_};
  if (entry.linked) waiters_.remove(entry);
}

void ForeignDescriptor::on_events(unsigned fd, std::uint32_t events) noexcept {
  Entry* woken = nullptr;
  Entry** last = &woken;
  {
    Guard guard{state_};
    Entry* next = nullptr;
    for (Entry* entry = waiters_.front(); entry; entry = next) {
      next = entry->next;
      if (!(events & (entry->tag | EPOLLERR | EPOLLHUP))) continue;
      waiters_.remove(*entry);
      if (!claim(*entry, kFired)) continue;
      *last = entry;
      last = &entry->next;
    }
    // If it can no longer be registered, its calls will tell why.
    if (!waiters_.empty() && ask_for_events(fd) != 0) *last = waiters_.claim_all();
  }
  deliver_all(woken);
}

void ForeignDescriptor::wake_everybody(Outcome outcome, int epoll, unsigned fd) noexcept {
  Entry* woken = nullptr;
  {
    Guard guard{state_};
    woken = waiters_.claim_all(outcome);
    // A duplicate of the descriptor, in another process perhaps, would keep the registration alive.
    if (outcome == kClosed) {
      bare_epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr);
    } else {
      guard.set_value(0);
    }
  }
  deliver_all(woken);
}

// ---- all of them -----------------------------------------------------------------------------------------------------

int watch_foreign_descriptors() noexcept {
  int epoll = epoll_instance.load(std::memory_order_acquire);
  if (epoll < 0 && (epoll = make_epoll()) < 0) return epoll;
  return current_scheduler().reactor().watch_foreign(epoll);
}

void poll_foreign_descriptors() noexcept {
  constexpr int kBatch = 128;
  epoll_event events[kBatch];
  const int epoll = epoll_instance.load(std::memory_order_acquire);
  const long count = ::syscall(SYS_epoll_pwait, epoll, events, kBatch, 0, nullptr, std::size_t{8});
  for (long i = 0; i < count; ++i) {
    const unsigned fd = events[i].data.u32;
    if (ForeignDescriptor* descriptor = ForeignDescriptor::at(fd)) descriptor->on_events(fd, events[i].events);
  }
}

namespace {

template <class Visit>
void for_each_used(unsigned first, unsigned last, Visit visit) noexcept {
  const int epoll = epoll_instance.load(std::memory_order_acquire);
  if (epoll < 0) return;
  const std::uint64_t end = std::min<std::uint64_t>(std::uint64_t{last} + 1, std::uint64_t{kInChunk} * kChunks);
  for (std::uint64_t fd = first; fd < end; ++fd) {
    if (fd % kInChunk == 0 && !chunks[fd / kInChunk].load(std::memory_order_acquire)) {
      fd += kInChunk - 1;  // a whole chunk of nobody
      continue;
    }
    visit(epoll, static_cast<unsigned>(fd));
  }
}

// The child of a vfork() shares our memory, and what it closes are its own descriptors.
bool is_ours() noexcept {
  return ::getpid() == owner.load(std::memory_order_relaxed);
}

}  // namespace

// First whoever waits for what is being closed: their descriptor must not turn into the next one of that number.
// Those who begin to wait before the kernel closes it are woken afterwards, to look again (foreign_closed).
void foreign_closing(unsigned first, unsigned last) noexcept {
  for_each_used(first, last, [](int epoll, unsigned fd) {
    ForeignDescriptor* descriptor = ForeignDescriptor::used(fd);
    if (descriptor && is_ours()) descriptor->wake_everybody(kClosed, epoll, fd);
  });
}

void foreign_closed(unsigned first, unsigned last) noexcept {
  for_each_used(first, last, [](int epoll, unsigned fd) {
    ForeignDescriptor* descriptor = ForeignDescriptor::used(fd);
    if (descriptor && is_ours()) descriptor->wake_everybody(kFired, epoll, fd);
  });
}

// Without an epoll instance nobody has waited since the program or the fork before: then the table's pages are not touched, each of which
// the child would have to be given.
void forget_foreign_waiters() noexcept {
  const int epoll = epoll_instance.load(std::memory_order_relaxed);
  if (epoll < 0) return;
  for (std::atomic<Chunk*>& place : chunks) {
    Chunk* chunk = place.load(std::memory_order_acquire);
    if (!chunk) continue;
    for (ForeignDescriptor& descriptor : chunk->descriptors) {
      descriptor.waiters_ = WaitList{};
      descriptor.state_.store(0, std::memory_order_relaxed);
    }
  }
  epoll_instance.store(-1, std::memory_order_relaxed);
  ::syscall(SYS_close, epoll);
}

}  // namespace weft::detail
