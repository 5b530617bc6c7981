#pragma once

#include <algorithm>
#include <cerrno>
#include <string>

#include <weft/fiber/this_fiber.hpp>
#include <weft/net/socket.hpp>

#include "engine/descriptor.hpp"
#include "port/socket_calls.hpp"

// What the calls of a socket share. For the sources of Socket only: socket.cpp, socket_connect.cpp, socket_send.cpp,
// socket_recv.cpp.
namespace weft {

namespace detail {

using Direction = Descriptor::Direction;

// What a call ended with instead of a count, beside negative errno values (which lie above -4096).
inline constexpr int kDeadlinePassed = -10'000;
inline constexpr int kClosedMeanwhile = -10'001;

// For waits the kernel sends no event for. Short, as they notice close() only at their end.
inline constexpr Duration kFirstPause = std::chrono::milliseconds{1};
inline constexpr Duration kLastPause = std::chrono::milliseconds{16};

inline Duration doubled(Duration pause, Duration most) { return std::min(2 * pause, most); }

// Flags under which "nothing there" says nothing about ordinary data, or after which the data is still there.
inline bool leaves_readiness_alone(int flags) {
  return (flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC)) != 0;
}

inline bool forbids_waiting(int flags) { return (flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)) != 0; }

struct AddressBuffer {
  sockaddr_storage storage;
  socklen_t size = sizeof storage;

  [[nodiscard]] sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] Address address() const {
    return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), std::min<socklen_t>(size, sizeof storage));
  }
};

}  // namespace detail

// One public call in progress: keeps the descriptor's number from being reused under it, knows how long it may wait, and
// words its failure. It lives on the stack of the caller, so it is small.
class Socket::Call {
 public:
  using Direction = detail::Direction;

  // `operation` ends in the preposition its object needs: "recv from".
  Call(const Socket& socket, const char* operation, Deadline given, bool may_wait = true)
      : socket_{socket}, operation_{operation}, limit_{given} {
    if (!may_wait || socket.timeout_.load(std::memory_order_relaxed) == 0) patience_ = Patience::None;
    if (!socket_.descriptor_ || !socket_.descriptor_->enter()) fail_closed();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    if (!left_) descriptor().leave();
  }

  [[nodiscard]] int fd() const { return descriptor().fd(); }
  [[nodiscard]] bool may_wait() const { return patience_ != Patience::None; }
  [[nodiscard]] bool is_stream() const { return socket_.kind_.type == SOCK_STREAM; }

  // Runs `system(fd)` until it does something else than to ask for patience. Returns its result, or -EAGAIN when the
  // call must not wait, or kDeadlinePassed or kClosedMeanwhile.
  // `wanted` is the count below which a transfer says that there was no more; 0: no count says so.
  template <class System>
  ssize_t transfer(Direction direction, std::size_t wanted, System system) {
    detail::Descriptor& d = descriptor();
    take_turns();
    for (;;) {
      const std::uint64_t seen = d.readiness(direction);
      // A call that must not wait looks for itself: only waiters keep what is remembered of readiness up to date.
      if (detail::Descriptor::may_be_ready(seen, direction) || !may_wait()) {
        const ssize_t count = system(d.fd());
        if (count != -EAGAIN) {
          // Not for 0: the end of a stream stays readable.
          if (count > 0 && static_cast<std::size_t>(count) < wanted) d.short_transfer(seen, direction);
          return count;
        }
        d.drained(seen, direction);
        if (!may_wait()) return -EAGAIN;
      }
      const int result = wait(direction);
      if (result == detail::kDeadlinePassed) return last_try(system);
      if (result < 0) return result;
    }
  }

  // A transfer with flags whose result tells nothing about readiness: at most waits for the ordinary kind.
  template <class System>
  ssize_t peek(Direction direction, System system) {
    detail::Descriptor& d = descriptor();
    for (;;) {
      const std::uint64_t seen = d.readiness(direction);
      const ssize_t count = system(d.fd());
      if (count != -EAGAIN || !may_wait()) return count;
      d.drained(seen, direction);
      if (const int result = wait(direction); result < 0) return result;
    }
  }

  // 0, kDeadlinePassed or kClosedMeanwhile. Throws: Cancelled.
  int wait(Direction direction) { return wait_until(direction, limit()); }
  int wait_until(Direction direction, Deadline deadline);

  // Sleeps where no event will tell when to go on. The descriptor is not held meanwhile, so that close() takes effect.
  // 0, -EAGAIN when the call must not wait, or kDeadlinePassed. Throws: Cancelled; OSError when the socket was closed.
  int pause(Duration duration);

  // Sleeps until `until`, or to the end of the socket: 0 or kClosedMeanwhile. Throws: Cancelled. For a listening socket,
  // which is never writable: waiting for that sleeps, and yet ends at once when the socket is closed.
  int sleep_until_closed(Deadline until);

  // Whether poll(2) sees one of `events`, waiting for it as long as the call may. Non-blocking mode does not count here.
  bool poll(Direction direction, short events);

  // The clock is first read when there is something to wait for: a call that need not wait does not pay for its limit.
  Deadline limit() {
    if (patience_ == Patience::Unresolved) {
      patience_ = Patience::Resolved;
      const std::int64_t timeout = socket_.timeout_.load(std::memory_order_relaxed);
      if (limit_.is_never() && timeout > 0) limit_ = Deadline::after(Duration{timeout});
    }
    return limit_;
  }

  // Words the failure that `code` (as transfer() returns it) stands for.
  [[noreturn]] [[gnu::cold]] void fail(ssize_t code) const;
  [[noreturn]] [[gnu::cold]] void fail_on(ssize_t code, std::string object) const;
  // TimeoutError, saying why the call had to wait.
  [[noreturn]] [[gnu::cold]] void fail_waiting(const std::string& cause) const;

  // Whom or what the call is about: the peer if there is one, else the own address, else the descriptor.
  [[nodiscard]] std::string object() const;
  // "recv from 10.0.0.1:80: "
  [[nodiscard]] std::string description() const { return describe(object()); }

 private:
  enum class Patience : std::uint8_t { None, Unresolved, Resolved };

  // What is remembered as drained may be so no longer, though the reactor has not come to see it: a deadline that has
  // passed, above all one that had passed before the call, means that there is no time to wait, not that nothing is there.
  template <class System>
  ssize_t last_try(System system) const {
    const ssize_t count = system(fd());
    return count == -EAGAIN ? detail::kDeadlinePassed : count;
  }

  // A fiber whose socket is always ready would have its worker for itself, and could not be killed. Before the transfer,
  // so that a kill loses nothing.
  void take_turns() const {
    const std::uint16_t streak = socket_.streak_.load(std::memory_order_relaxed);
    socket_.streak_.store(static_cast<std::uint16_t>(streak + 1), std::memory_order_relaxed);
    if (streak < kTransfersInARow || !may_wait()) [[likely]] return;
    socket_.streak_.store(0, std::memory_order_relaxed);
    if (in_fiber()) weft::yield();
  }

  [[nodiscard]] detail::Descriptor& descriptor() const { return *socket_.descriptor_; }
  [[nodiscard]] std::string describe(const std::string& object) const { return std::string{operation_} + ' ' + object + ": "; }
  [[noreturn]] [[gnu::cold]] void fail_closed() const;

  // Transfers take at least a microsecond each, and letting others run a twentieth of that.
  static constexpr std::uint16_t kTransfersInARow = 64;

  const Socket& socket_;
  const char* operation_;
  Deadline limit_;
  Patience patience_ = Patience::Unresolved;
  bool left_ = false;
};

}  // namespace weft
