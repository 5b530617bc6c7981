#include <netinet/tcp.h>

#include <system_error>

#include <weft/base/error.hpp>

#include "net/socket_call.hpp"

namespace weft {

using namespace detail;

namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstAcceptBackOff = 5ms;
constexpr Duration kLastAcceptBackOff = 1s;

// Lack of something that other connections will give back.
bool is_exhaustion(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

// Errors of the one connection that was about to be taken, which accept4(2) reports in its place.
bool concerns_one_connection(int error) {
  switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

// Sleeps before accept tries again. 0 or kClosedMeanwhile. Throws: Cancelled; TimeoutError, which gives the cause.
// The connection stays in the queue, so waiting for the socket to be readable would spin.
template <class Call>
[[gnu::cold, gnu::noinline]] int wait_out(Call& call, Duration back_off, int cause) {
  const Deadline retry = Deadline::after(back_off);
  const Deadline until = Deadline::earlier(call.limit(), retry);
  const int result = call.sleep_until_closed(until);
  if (result == 0 && until < retry) call.fail_waiting(std::generic_category().message(cause));
  return result;
}

// The next connection's descriptor, or what transfer() returns. Throws: Cancelled, TimeoutError.
template <class Call>
int take_connection(Call& call, AddressBuffer& peer) {
  Duration back_off = kFirstAcceptBackOff;
  for (;;) {
    const auto result = static_cast<int>(call.transfer(Direction::Read, 0, [&](int fd) -> ssize_t {
      peer.size = sizeof peer.storage;
      return port::sys_accept(fd, peer.raw(), &peer.size);
    }));
    if (concerns_one_connection(-result)) continue;
    if (!is_exhaustion(-result) || !call.may_wait()) return result;
    if (const int woken = wait_out(call, back_off, -result); woken < 0) return woken;
    back_off = doubled(back_off, kLastAcceptBackOff);
  }
}

}  // namespace

void Socket::bind(const Address& address) {
  Call call{*this, "bind to", Deadline::never()};
  const int result = port::sys_bind(call.fd(), address.data(), address.size());
  if (result < 0) call.fail_on(result, address.to_string());
}

void Socket::listen(int backlog) {
  Call call{*this, "listen on", Deadline::never()};
  const int result = port::sys_listen(call.fd(), backlog);
  if (result < 0) call.fail(result);
}

Socket Socket::accept(Deadline deadline) { return accept_with_address(deadline).first; }

std::pair<Socket, Address> Socket::accept_with_address(Deadline deadline) {
  Call call{*this, "accept on", deadline};
  AddressBuffer peer;
  const int fd = take_connection(call, peer);
  if (fd < 0) call.fail(fd);
  const Address from = peer.address();
  return {own_accepted(fd, from), from};
}

std::optional<Socket> Socket::try_accept() {
  Call call{*this, "accept on", Deadline::never(), /*may_wait=*/false};
  AddressBuffer peer;
  const int fd = take_connection(call, peer);
  if (fd == -EAGAIN || is_exhaustion(-fd)) return std::nullopt;
  if (fd < 0) call.fail(fd);
  return own_accepted(fd, peer.address());
}

Socket Socket::own_accepted(int fd, const Address& peer) const {
  Socket accepted = own(fd, kind_);
  accepted.remember_peer(peer);
  // Inherited from a listening socket that weft made, but not from one that was adopted. A connection that has been reset
  // already may refuse: its first transfer will say so.
  const int on = 1;
  if (kind_.is_tcp) (void)port::sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return accepted;
}

void Socket::connect(const Address& address, Deadline deadline) {
  Call call{*this, "connect to", deadline};
  const int result = connect_within(call, address);
  if (result < 0) call.fail_on(result, address.to_string());
}

int Socket::connect_ex(const Address& address, Deadline deadline) {
  Call call{*this, "connect to", deadline};
  const int result = connect_within(call, address);
  if (result == kClosedMeanwhile) return EBADF;
  return result == kDeadlinePassed ? ETIMEDOUT : -result;
}

// Repeating connect(2) tells how an attempt stands: EALREADY while it goes on, then once 0 or its failure. So every turn of
// this loop is the same call, and one may begin in the middle, after an earlier call ran out of time.
int Socket::connect_within(Call& call, const Address& address) {
  remember_peer(address);
  bool waited = false;
  Duration pause = kFirstPause;
  for (;;) {
    const std::uint64_t seen = descriptor_->readiness(Direction::Write);
    const int result = port::sys_connect(call.fd(), address.data(), address.size());
    if (result == -EISCONN && waited) return 0;
    if (result == -EAGAIN && address.is_unix()) {
      // The queue of a UNIX server is full, and nothing tells when it no longer is.
      if (const int paused = call.pause(pause); paused < 0) return paused;
      pause = doubled(pause, kLastPause);
      continue;
    }
    if ((result != -EINPROGRESS && result != -EALREADY) || !call.may_wait()) return result;
    // A socket that was never connected counts as writable, so what is remembered from before means nothing.
    descriptor_->drained(seen, Direction::Write);
    if (const int woken = call.wait(Direction::Write); woken < 0) return woken;
    waited = true;
  }
}

}  // namespace weft
