#include "patch/call.hpp"

#include <dlfcn.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>

#include "patch/flags.hpp"
#include "patch/locks.hpp"
#include "patch/polling.hpp"
#include "patch/real.hpp"

namespace weft::patch {

void* find_next(const char* name) noexcept {
  if (void* found = ::dlsym(RTLD_NEXT, name)) return found;
  char text[256];
  const int size =
      std::snprintf(text, sizeof text, "weft-patch: %s() was called, but no library behind this one has it\n", name);
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, static_cast<std::size_t>(size));
  std::abort();
}

namespace {

// When epoll does not take a descriptor: a regular file (it is ready), too many watches, epoll instances nested too
// deep.
int wait_on_helper(const Call& call, const pollfd* polled, nfds_t count, Deadline deadline) noexcept {
  const std::unique_ptr<pollfd[]> copy{new (std::nothrow) pollfd[count]};
  if (!copy) return -ENOMEM;
  std::copy_n(polled, count, copy.get());
  return call.on_helper([&] {
    const int ready = real_poll(copy.get(), count, milliseconds_until(deadline));
    return ready < 0 ? -errno : std::min(ready, 1);
  });
}

}  // namespace

int Call::wait(const pollfd* polled, nfds_t count, Deadline deadline) const noexcept {
  const WaitingWithLocks locks{*this};
  const int result = engine()->wait(polled, count, deadline.nanoseconds());
  return result >= 0 || result == -EBADF ? result : wait_on_helper(*this, polled, count, deadline);
}

void Call::sleep_until(Deadline deadline) const noexcept {
  const WaitingWithLocks locks{*this};
  engine()->sleep_until(deadline.nanoseconds());
}

bool Call::try_on_helper(void (*job)(void*), void* argument, Helpers which) const noexcept {
  const WaitingWithLocks locks{*this};
  return engine()->run_on_helper(job, argument, which);
}

// ---- waiting for one descriptor --------------------------------------------------------------------------------------

bool Waits::may_wait() noexcept {
  if (!asked_) {
    asked_ = true;
    blocking_ = is_blocking(fd_);
    if (blocking_ && timeout_ != 0) deadline_ = socket_deadline(fd_, timeout_);
  }
  return blocking_;
}

bool Waits::wait(int error_of_timeout) noexcept {
  constexpr unsigned kFutileBeforeSleep = 3, kMostDoublings = 7;
  if (!may_wait()) {
    errno = EAGAIN;
    return false;
  }
  // Ready, and still nothing to be had: others were faster, or the kernel's poll knows no better (a datagram for a
  // full UNIX socket that this one is not connected to). Then it is a matter of time.
  if (futile_++ >= kFutileBeforeSleep) {
    const auto pause = std::chrono::microseconds{100} * (1U << std::min(futile_ - kFutileBeforeSleep, kMostDoublings));
    call_.sleep_until(Deadline::earlier(deadline_, Deadline::after(pause)));
  }
  const pollfd polled{fd_, events_, 0};
  const int result = call_.wait(&polled, 1, deadline_);
  if (result > 0) return true;
  errno = result == 0 ? error_of_timeout : -result;
  return false;
}

bool Waits::is_ready() const noexcept {
  pollfd polled{fd_, events_, 0};
  return real_poll(&polled, nfds_t{1}, 0) != 0;
}

bool is_blocking(int fd) noexcept {
  const int flags = steady_flags(fd);
  return flags >= 0 && (flags & O_NONBLOCK) == 0;
}

Deadline socket_deadline(int fd, int option) noexcept {
  timeval timeout{};
  socklen_t size = sizeof timeout;
  if (::getsockopt(fd, SOL_SOCKET, option, &timeout, &size) < 0) return Deadline::never();
  if (timeout.tv_sec == 0 && timeout.tv_usec == 0) return Deadline::never();
  return Deadline::after(std::chrono::seconds{timeout.tv_sec} + std::chrono::microseconds{timeout.tv_usec});
}

}  // namespace weft::patch
