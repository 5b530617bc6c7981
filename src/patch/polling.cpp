// poll, select and epoll_wait in all their spellings. Each looks, waits until a look is worth while, and looks
// again; what it returns is always what the kernel's own call said.

#include "patch/polling.hpp"

#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "patch/call.hpp"
#include "patch/real.hpp"

extern "C" {
// Declared by the headers only for programs that are compiled to be checked.
int __poll_chk(pollfd* polled, nfds_t count, int milliseconds, std::size_t bytes);
int __ppoll_chk(pollfd* polled, nfds_t count, const timespec* timeout, const sigset_t* mask, std::size_t bytes);
}

namespace weft::patch {

WEFT_PATCH_REAL(ppoll);
WEFT_PATCH_REAL(__poll_chk);
WEFT_PATCH_REAL(__ppoll_chk);
WEFT_PATCH_REAL(select);
WEFT_PATCH_REAL(pselect);
WEFT_PATCH_REAL(epoll_wait);
WEFT_PATCH_REAL(epoll_pwait);
WEFT_PATCH_REAL(epoll_pwait2);

int milliseconds_until(Deadline deadline) noexcept {
  if (deadline.is_never()) return -1;
  constexpr std::int64_t kLongest = 1'000'000'000;
  return static_cast<int>(std::min((deadline.remaining().count() + 999'999) / 1'000'000, kLongest));
}

namespace {

Deadline deadline_of(int milliseconds) noexcept {
  return milliseconds < 0 ? Deadline::never() : Deadline::after(std::chrono::milliseconds{milliseconds});
}

Deadline deadline_of(const timespec* timeout) noexcept {
  if (!timeout) return Deadline::never();
  return Deadline::after(std::chrono::seconds{timeout->tv_sec} + std::chrono::nanoseconds{timeout->tv_nsec});
}

bool is_valid(const timespec* timeout) noexcept {
  return !timeout || (timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < 1'000'000'000);
}

/// look() says what is ready without waiting: below zero an error, zero nothing.
template <class Look>
int look_until(const Call& call, const pollfd* polled, nfds_t count, Deadline deadline, Look look) noexcept {
  constexpr auto kBetweenLooks = std::chrono::milliseconds{1};
  bool was_closed = false;
  for (;;) {
    if (const int ready = look(); ready != 0 || deadline.has_passed()) return ready;
    // select() ignores what was never open, and waits beside it.
    if (was_closed) call.sleep_until(Deadline::earlier(deadline, Deadline::after(kBetweenLooks)));
    const int result = call.wait(polled, count, deadline);
    was_closed = result == -EBADF;
    if (result < 0 && !was_closed) {
      errno = -result;
      return -1;
    }
    if (result == 0) return look();
  }
}

int poll_until(const Call& call, pollfd* polled, nfds_t count, Deadline deadline) noexcept {
  return look_until(call, polled, count, deadline, [=] { return real_poll(polled, count, 0); });
}

int epoll_until(const Call& call, int epoll, epoll_event* events, int most, Deadline deadline) noexcept {
  const pollfd polled{epoll, POLLIN, 0};
  return look_until(call, &polled, 1, deadline, [=] { return real_epoll_wait(epoll, events, most, 0); });
}

// ---- select ----------------------------------------------------------------------------------------------------------

/// What a select asks for, kept while the sets are overwritten by what there is. Sets may be longer than fd_set.
class Selection {
 public:
  Selection(int count, fd_set* readable, fd_set* writable, fd_set* urgent) noexcept
      : count_{count}, sets_{readable, writable, urgent} {
    bytes_ = (static_cast<std::size_t>(count) + kWordBits - 1) / kWordBits * (kWordBits / 8);
    asked_.reset(new (std::nothrow) char[3 * bytes_ + 1]);
    polled_.reset(new (std::nothrow) pollfd[static_cast<std::size_t>(count) + 1]);
    if (!asked_ || !polled_) return;
    for (std::size_t i = 0; i < 3; ++i) {
      if (sets_[i]) std::memcpy(asked_.get() + i * bytes_, sets_[i], bytes_);
    }
    for (int fd = 0; fd < count; ++fd) add(fd);
  }

  [[nodiscard]] bool complete() const noexcept { return asked_ && polled_; }
  [[nodiscard]] const pollfd* polled() const noexcept { return polled_.get(); }
  [[nodiscard]] nfds_t polled_count() const noexcept { return polled_count_; }

  int look() noexcept {
    for (std::size_t i = 0; i < 3; ++i) {
      if (sets_[i]) std::memcpy(sets_[i], asked_.get() + i * bytes_, bytes_);
    }
    timeval no_time{0, 0};
    return real_select(count_, sets_[0], sets_[1], sets_[2], &no_time);
  }

 private:
  static constexpr std::size_t kWordBits = 8 * sizeof(long);

  [[nodiscard]] bool asks(std::size_t set, int fd) const noexcept {
    if (!sets_[set]) return false;
    long word = 0;
    const std::size_t number = static_cast<std::size_t>(fd) / kWordBits;
    std::memcpy(&word, asked_.get() + set * bytes_ + number * sizeof word, sizeof word);
    return ((word >> (static_cast<std::size_t>(fd) % kWordBits)) & 1) != 0;
  }

  void add(int fd) noexcept {
    short events = 0;
    if (asks(0, fd)) events |= POLLIN;
    if (asks(1, fd)) events |= POLLOUT;
    if (asks(2, fd)) events |= POLLPRI;
    if (events != 0) polled_[polled_count_++] = {fd, events, 0};
  }

  const int count_;
  fd_set* const sets_[3];
  std::size_t bytes_ = 0;
  std::unique_ptr<char[]> asked_;
  std::unique_ptr<pollfd[]> polled_;
  nfds_t polled_count_ = 0;
};

int select_until(const Call& call, int count, fd_set* readable, fd_set* writable, fd_set* urgent,
                 Deadline deadline) noexcept {
  Selection selection{count, readable, writable, urgent};
  if (!selection.complete()) {
    errno = ENOMEM;
    return -1;
  }
  return look_until(call, selection.polled(), selection.polled_count(), deadline, [&] { return selection.look(); });
}

}  // namespace

}  // namespace weft::patch

using namespace weft::patch;

// A signal mask holds for the thread that waits: with one, the kernel's own call is made on a helper thread.

WEFT_PATCHES int poll(pollfd* polled, nfds_t count, int milliseconds) {
  if (milliseconds == 0 || !on_fiber()) return real_poll(polled, count, milliseconds);
  WEFT_PATCH_CALL("poll");
  return poll_until(call, polled, count, deadline_of(milliseconds));
}

WEFT_PATCHES int ppoll(pollfd* polled, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  if (!on_fiber() || !is_valid(timeout)) return real_ppoll(polled, count, timeout, mask);
  WEFT_PATCH_CALL("ppoll");
  if (mask) return call.on_helper([&] { return real_ppoll(polled, count, timeout, mask); });
  return poll_until(call, polled, count, deadline_of(timeout));
}

WEFT_PATCHES int __poll_chk(pollfd* polled, nfds_t count, int milliseconds, std::size_t bytes) {
  if (bytes / sizeof *polled < count || !on_fiber()) return real___poll_chk(polled, count, milliseconds, bytes);
  WEFT_PATCH_CALL("poll");
  return poll_until(call, polled, count, deadline_of(milliseconds));
}

WEFT_PATCHES int __ppoll_chk(pollfd* polled, nfds_t count, const timespec* timeout, const sigset_t* mask,
                             std::size_t bytes) {
  if (bytes / sizeof *polled < count || !on_fiber() || !is_valid(timeout)) {
    return real___ppoll_chk(polled, count, timeout, mask, bytes);
  }
  WEFT_PATCH_CALL("ppoll");
  if (mask) return call.on_helper([&] { return real_ppoll(polled, count, timeout, mask); });
  return poll_until(call, polled, count, deadline_of(timeout));
}

WEFT_PATCHES int select(int count, fd_set* readable, fd_set* writable, fd_set* urgent, timeval* timeout) {
  const bool unusual = count < 0 || (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0));
  if (unusual || !on_fiber()) return real_select(count, readable, writable, urgent, timeout);
  WEFT_PATCH_CALL("select");
  weft::Deadline deadline = weft::Deadline::never();
  if (timeout) {
    deadline =
        weft::Deadline::after(std::chrono::seconds{timeout->tv_sec} + std::chrono::microseconds{timeout->tv_usec});
  }
  const int ready = select_until(call, count, readable, writable, urgent, deadline);
  if (timeout) {  // Linux tells what is left
    const auto left = std::chrono::duration_cast<std::chrono::microseconds>(deadline.remaining()).count();
    *timeout = {static_cast<time_t>(left / 1'000'000), static_cast<suseconds_t>(left % 1'000'000)};
  }
  return ready;
}

WEFT_PATCHES int pselect(int count, fd_set* readable, fd_set* writable, fd_set* urgent, const timespec* timeout,
                         const sigset_t* mask) {
  if (count < 0 || !is_valid(timeout) || !on_fiber())
    return real_pselect(count, readable, writable, urgent, timeout, mask);
  WEFT_PATCH_CALL("pselect");
  if (mask) return call.on_helper([&] { return real_pselect(count, readable, writable, urgent, timeout, mask); });
  return select_until(call, count, readable, writable, urgent, deadline_of(timeout));
}

WEFT_PATCHES int epoll_wait(int epoll, epoll_event* events, int most, int milliseconds) {
  if (milliseconds == 0 || !on_fiber()) return real_epoll_wait(epoll, events, most, milliseconds);
  WEFT_PATCH_CALL("epoll_wait");
  return epoll_until(call, epoll, events, most, deadline_of(milliseconds));
}

WEFT_PATCHES int epoll_pwait(int epoll, epoll_event* events, int most, int milliseconds, const sigset_t* mask) {
  if (!on_fiber()) return real_epoll_pwait(epoll, events, most, milliseconds, mask);
  WEFT_PATCH_CALL("epoll_pwait");
  if (mask) return call.on_helper([&] { return real_epoll_pwait(epoll, events, most, milliseconds, mask); });
  return epoll_until(call, epoll, events, most, deadline_of(milliseconds));
}

WEFT_PATCHES int epoll_pwait2(int epoll, epoll_event* events, int most, const timespec* timeout, const sigset_t* mask) {
  if (!on_fiber() || !is_valid(timeout)) return real_epoll_pwait2(epoll, events, most, timeout, mask);
  WEFT_PATCH_CALL("epoll_pwait2");
  if (mask) return call.on_helper([&] { return real_epoll_pwait2(epoll, events, most, timeout, mask); });
  return epoll_until(call, epoll, events, most, deadline_of(timeout));
}
