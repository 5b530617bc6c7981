#include "patch/flags.hpp"

#include <sched.h>

#include <atomic>
#include <cstdarg>

namespace weft::patch {

namespace {

std::atomic<int> in_room{0};  // so many: above zero those who connect, below it those who look
// A signal handler of the thread that is inside must not wait for it to leave.
thread_local bool this_thread_is_inside = false;

bool concerns_flags(int command) {
  return command == F_GETFL || command == F_SETFL;
}

}  // namespace

// Nobody stays for longer than a system call that does not block.
FlagRoom::FlagRoom(Kind kind) noexcept : step_{static_cast<int>(kind)} {
  if (this_thread_is_inside) return;
  this_thread_is_inside = true;
  entered_ = true;
  int seen = in_room.load(std::memory_order_relaxed);
  for (;;) {
    if (seen * step_ < 0) {
      ::sched_yield();
      seen = in_room.load(std::memory_order_relaxed);
    } else if (in_room.compare_exchange_weak(seen, seen + step_, std::memory_order_acq_rel,
                                             std::memory_order_relaxed)) {
      return;
    }
  }
}

FlagRoom::~FlagRoom() {
  if (!entered_) return;
  in_room.fetch_sub(step_, std::memory_order_acq_rel);
  this_thread_is_inside = false;
}

void FlagRoom::forget() noexcept {
  in_room.store(0, std::memory_order_relaxed);
  this_thread_is_inside = false;
}

int steady_flags(int fd) noexcept {
  const FlagRoom room{FlagRoom::Kind::Looking};
  return real_fcntl(fd, F_GETFL);
}

NonBlockingForAMoment::NonBlockingForAMoment(int fd) noexcept : fd_{fd} {
  int on = 1;
  (void)real_ioctl(fd_, static_cast<unsigned long>(FIONBIO), &on);
}

NonBlockingForAMoment::~NonBlockingForAMoment() {
  int off = 0;
  (void)real_ioctl(fd_, static_cast<unsigned long>(FIONBIO), &off);
}

}  // namespace weft::patch

using weft::patch::FlagRoom;

// All arguments of these fit a pointer, and are passed alike.
WEFT_PATCHES int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  if (!weft::patch::concerns_flags(command)) return weft::patch::real_fcntl(fd, command, argument);
  const FlagRoom room{FlagRoom::Kind::Looking};
  return weft::patch::real_fcntl(fd, command, argument);
}

WEFT_PATCHES int fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  if (!weft::patch::concerns_flags(command)) return weft::patch::real_fcntl64(fd, command, argument);
  const FlagRoom room{FlagRoom::Kind::Looking};
  return weft::patch::real_fcntl64(fd, command, argument);
}

WEFT_PATCHES int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  if (request != FIONBIO) return weft::patch::real_ioctl(fd, request, argument);
  const FlagRoom room{FlagRoom::Kind::Looking};
  return weft::patch::real_ioctl(fd, request, argument);
}
