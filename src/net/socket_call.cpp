#include "net/socket_call.hpp"

#include <weft/base/error.hpp>

namespace weft {

int Socket::Call::wait_until(Direction direction, Deadline deadline) {
  socket_.streak_.store(0, std::memory_order_relaxed);
  const int result = descriptor().wait(direction, deadline);
  if (result == -ECANCELED) detail::throw_interruption();
  if (result == -ETIMEDOUT) return detail::kDeadlinePassed;
  if (result == -EBADF) return detail::kClosedMeanwhile;
  return result;
}

int Socket::Call::pause(Duration duration) {
  if (!may_wait()) return -EAGAIN;
  const Deadline until = limit();
  if (until.has_passed()) return detail::kDeadlinePassed;
  descriptor().leave();
  left_ = true;
  weft::sleep_for(std::min(duration, until.remaining()));
  if (!descriptor().enter()) fail_closed();
  left_ = false;
  return 0;
}

int Socket::Call::sleep_until_closed(Deadline until) {
  descriptor().drained(descriptor().readiness(Direction::Write), Direction::Write);
  const int result = wait_until(Direction::Write, until);
  if (result == detail::kClosedMeanwhile) return result;
  // Woken early, by an error event for instance: what is left is slept the plain way.
  if (result == 0) weft::sleep_for(until.remaining());
  return 0;
}

bool Socket::Call::poll(Direction direction, short events) {
  detail::Descriptor& d = descriptor();
  for (;;) {
    const std::uint64_t seen = d.readiness(direction);
    pollfd entry{d.fd(), events, 0};
    if (port::sys_ppoll(&entry, 1, 0) > 0) return true;
    d.drained(seen, direction);
    const int result = wait(direction);
    if (result == detail::kDeadlinePassed) return false;
    if (result < 0) fail(result);
  }
}

// ---- words for failures

void Socket::Call::fail(ssize_t code) const { fail_on(code, object()); }

void Socket::Call::fail_on(ssize_t code, std::string object) const {
  switch (code) {
    case detail::kDeadlinePassed:
      throw TimeoutError{describe(object) + "timed out"};
    case detail::kClosedMeanwhile:
      throw OSError{EBADF, operation_, std::move(object) + " (socket closed meanwhile)"};
    case -EAGAIN:
    case -EINPROGRESS:
    case -EALREADY:
      throw WouldBlock{static_cast<int>(-code), operation_, std::move(object)};
    default:
      throw OSError{static_cast<int>(-code), operation_, std::move(object)};
  }
}

void Socket::Call::fail_waiting(const std::string& cause) const {
  throw TimeoutError{description() + "timed out (" + cause + ')'};
}

void Socket::Call::fail_closed() const { throw OSError{EBADF, operation_, "closed socket"}; }

std::string Socket::Call::object() const {
  if (const std::optional<Address> peer = socket_.remembered_peer()) return peer->to_string();
  detail::AddressBuffer buffer;
  if (port::sys_getpeername(fd(), buffer.raw(), &buffer.size) == 0 && buffer.size > sizeof(sa_family_t)) {
    return buffer.address().to_string();
  }
  buffer.size = sizeof buffer.storage;
  if (port::sys_getsockname(fd(), buffer.raw(), &buffer.size) == 0 && buffer.size > sizeof(sa_family_t)) {
    return buffer.address().to_string();
  }
  return "unnamed socket (descriptor " + std::to_string(fd()) + ')';
}

}  // namespace weft
