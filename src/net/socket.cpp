#include <weft/net/socket.hpp>

#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <tuple>

#include <weft/fiber/this_fiber.hpp>

#include "engine/descriptor.hpp"
#include "port/socket_calls.hpp"

namespace weft {

using detail::Descriptor;
using Direction = Descriptor::Direction;

namespace {

static_assert(static_cast<int>(SocketType::Stream) == SOCK_STREAM);
static_assert(static_cast<int>(SocketType::Datagram) == SOCK_DGRAM);
static_assert(static_cast<int>(SocketType::SequencedPacket) == SOCK_SEQPACKET);

using namespace std::chrono_literals;

constexpr Duration kFirstAcceptBackOff = 5ms;
constexpr Duration kLastAcceptBackOff = 1s;
// For waits the kernel sends no event for. Short, as they notice close() only at their end.
constexpr Duration kFirstPause = 1ms;
constexpr Duration kLastPause = 16ms;

// Bounds the time one sendfile(2) keeps a worker from its other fibers to a fraction of a millisecond.
constexpr std::size_t kSendfileBytesPerCall = 1u << 20;
constexpr std::size_t kPartsPerCall = 16;

// Transfers take at least a microsecond each, and letting others run a twentieth of that.
constexpr std::uint16_t kTransfersInARow = 64;

// What a call ended with instead of a count, beside negative errno values (which lie above -4096).
constexpr int kDeadlinePassed = -10'000;
constexpr int kClosedMeanwhile = -10'001;

// The socket option default of the process, in Socket::timeout_'s terms.
std::atomic<std::int64_t> process_timeout{-1};

std::int64_t to_timeout(std::optional<Duration> timeout) {
  if (!timeout) return -1;
  if (*timeout < Duration::zero()) throw std::invalid_argument{"socket timeout: negative"};
  return timeout->count();
}

std::optional<Duration> from_timeout(std::int64_t timeout) {
  if (timeout < 0) return std::nullopt;
  return Duration{timeout};
}

Duration doubled(Duration pause, Duration most) { return std::min(2 * pause, most); }

// Flags under which "nothing there" says nothing about ordinary data, or after which the data is still there.
bool leaves_readiness_alone(int flags) { return (flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC)) != 0; }

bool forbids_waiting(int flags) { return (flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)) != 0; }

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

std::string cause_text(int error) { return std::generic_category().message(error); }

struct AddressBuffer {
  sockaddr_storage storage;
  socklen_t size = sizeof storage;

  [[nodiscard]] sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] Address address() const {
    return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), std::min<socklen_t>(size, sizeof storage));
  }
};

// Closes a descriptor that no Socket owns yet, when something throws before one does.
class FdGuard {
 public:
  explicit FdGuard(int fd) : fd_{fd} {}
  FdGuard(const FdGuard&) = delete;
  FdGuard& operator=(const FdGuard&) = delete;
  ~FdGuard() {
    if (fd_ >= 0) port::sys_close(fd_);
  }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int checked_option(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  const int result = port::sys_getsockopt(fd, level, name, &value, &size);
  if (result < 0) throw OSError{-result, "adopt", "descriptor " + std::to_string(fd)};
  return value;
}

}  // namespace

// One public call in progress: keeps the descriptor's number from being reused under it, knows how long it may wait, and
// words its failure. It lives on the stack of the caller, so it is small.
class Socket::Call {
 public:
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

  // Runs `system(fd)` until it does something else than to ask for patience. Returns its result, or -EAGAIN when the
  // call must not wait, or kDeadlinePassed or kClosedMeanwhile.
  // `wanted` is the count below which a transfer says that there was no more; 0: no count says so.
  template <class System>
  ssize_t transfer(Direction direction, std::size_t wanted, System system) {
    Descriptor& d = descriptor();
    take_turns();
    for (;;) {
      const std::uint64_t seen = d.readiness(direction);
      // A call that must not wait looks for itself: only waiters keep what is remembered of readiness up to date.
      if (Descriptor::may_be_ready(seen, direction) || !may_wait()) {
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
      if (result == kDeadlinePassed) return last_try(system);
      if (result < 0) return result;
    }
  }

  // A transfer with flags whose result tells nothing about readiness: at most waits for the ordinary kind.
  template <class System>
  ssize_t peek(Direction direction, System system) {
    Descriptor& d = descriptor();
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

  int wait_until(Direction direction, Deadline deadline) {
    socket_.streak_.store(0, std::memory_order_relaxed);
    const int result = descriptor().wait(direction, deadline);
    if (result == -ECANCELED) detail::throw_cancelled();
    if (result == -ETIMEDOUT) return kDeadlinePassed;
    if (result == -EBADF) return kClosedMeanwhile;
    return result;
  }

  // Sleeps where no event will tell when to go on. The descriptor is not held meanwhile, so that close() takes effect.
  // 0, -EAGAIN when the call must not wait, or kDeadlinePassed. Throws: Cancelled; OSError when the socket was closed.
  int pause(Duration duration) {
    if (!may_wait()) return -EAGAIN;
    const Deadline until = limit();
    if (until.has_passed()) return kDeadlinePassed;
    descriptor().leave();
    left_ = true;
    weft::sleep_for(std::min(duration, until.remaining()));
    if (!descriptor().enter()) fail_closed();
    left_ = false;
    return 0;
  }

  ssize_t receive(void* buffer, std::size_t size, int flags) {
    // An empty stream read would wait for bytes that it cannot take; an empty datagram read takes the datagram.
    if (size == 0 && socket_.kind_.type == SOCK_STREAM) return 0;
    const auto system = [=](int fd) { return port::sys_recv(fd, buffer, size, flags); };
    return leaves_readiness_alone(flags) ? peek(Direction::Read, system) : transfer(Direction::Read, size, system);
  }

  // The next connection's descriptor, or what transfer() returns. Throws: Cancelled, TimeoutError.
  int accept(AddressBuffer& peer) {
    Duration back_off = kFirstAcceptBackOff;
    for (;;) {
      const auto result = static_cast<int>(transfer(Direction::Read, 0, [&](int fd) -> ssize_t {
        peer.size = sizeof peer.storage;
        return port::sys_accept(fd, peer.raw(), &peer.size);
      }));
      if (concerns_one_connection(-result)) continue;
      if (!is_exhaustion(-result) || !may_wait()) return result;
      if (const int woken = wait_out(back_off, -result); woken < 0) return woken;
      back_off = doubled(back_off, kLastAcceptBackOff);
    }
  }

  // Whether poll(2) sees one of `events`, waiting for it as long as the call may. Non-blocking mode does not count here.
  bool poll(Direction direction, short events) {
    Descriptor& d = descriptor();
    for (;;) {
      const std::uint64_t seen = d.readiness(direction);
      pollfd entry{d.fd(), events, 0};
      if (port::sys_ppoll(&entry, 1, 0) > 0) return true;
      d.drained(seen, direction);
      const int result = wait(direction);
      if (result == kDeadlinePassed) return false;
      if (result < 0) fail(result);
    }
  }

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
  [[noreturn]] [[gnu::cold, gnu::noinline]] void fail(ssize_t code) const { fail_on(code, object()); }

  [[noreturn]] [[gnu::cold, gnu::noinline]] void fail_on(ssize_t code, std::string object) const {
    switch (code) {
      case kDeadlinePassed:
        throw TimeoutError{describe(object) + "timed out"};
      case kClosedMeanwhile:
        throw OSError{EBADF, operation_, std::move(object) + " (socket closed meanwhile)"};
      case -EAGAIN:
      case -EINPROGRESS:
      case -EALREADY:
        throw WouldBlock{static_cast<int>(-code), operation_, std::move(object)};
      default:
        throw OSError{static_cast<int>(-code), operation_, std::move(object)};
    }
  }

  [[noreturn]] [[gnu::cold, gnu::noinline]] void fail_sending(ssize_t code, std::size_t sent, std::size_t size) const {
    if (code != kDeadlinePassed && code != -EAGAIN) fail(code);
    throw SendTimeout{describe(object()) + (code == -EAGAIN ? "would block" : "timed out") + " after " +
                          std::to_string(sent) + " of " + std::to_string(size) + " bytes",
                      sent};
  }

  [[noreturn]] [[gnu::cold, gnu::noinline]] void fail_receiving(ssize_t code, std::size_t received,
                                                                std::size_t size) const {
    const std::string progress = " after " + std::to_string(received) + " of " + std::to_string(size) + " bytes";
    if (code == 0) throw EndOfStream{describe(object()) + "end of stream" + progress, received};
    if (code != kDeadlinePassed && code != -EAGAIN) fail(code);
    throw RecvTimeout{describe(object()) + (code == -EAGAIN ? "would block" : "timed out") + progress, received};
  }

  [[nodiscard]] std::string describe(const std::string& object) const {
    return std::string{operation_} + ' ' + object + ": ";
  }

  // Whom or what the call is about: the peer if there is one, else the own address, else the descriptor.
  [[nodiscard]] [[gnu::noinline]] std::string object() const {
    if (const std::optional<Address> peer = socket_.remembered_peer()) return peer->to_string();
    AddressBuffer buffer;
    if (port::sys_getpeername(fd(), buffer.raw(), &buffer.size) == 0 && buffer.size > sizeof(sa_family_t)) {
      return buffer.address().to_string();
    }
    buffer.size = sizeof buffer.storage;
    if (port::sys_getsockname(fd(), buffer.raw(), &buffer.size) == 0 && buffer.size > sizeof(sa_family_t)) {
      return buffer.address().to_string();
    }
    return "unnamed socket (descriptor " + std::to_string(fd()) + ')';
  }

 private:
  // What is remembered as drained may be so no longer, though the reactor has not come to see it: a deadline that has
  // passed, above all one that had passed before the call, means that there is no time to wait, not that nothing is there.
  template <class System>
  ssize_t last_try(System system) const {
    const ssize_t count = system(fd());
    return count == -EAGAIN ? kDeadlinePassed : count;
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

  // Sleeps before accept tries again. 0 or kClosedMeanwhile. Throws: Cancelled; TimeoutError, which gives the cause.
  // The connection stays in the queue, so waiting for the socket to be readable would spin. A listening socket is never
  // writable: waiting for that sleeps, and yet ends at once when the socket is closed.
  [[gnu::cold, gnu::noinline]] int wait_out(Duration back_off, int cause) {
    const Deadline retry = Deadline::after(back_off);
    const Deadline until = Deadline::earlier(limit(), retry);
    descriptor().drained(descriptor().readiness(Direction::Write), Direction::Write);
    const int result = wait_until(Direction::Write, until);
    if (result == kClosedMeanwhile) return result;
    // Woken early, by an error event for instance: what is left is slept the plain way.
    if (result == 0) weft::sleep_for(until.remaining());
    if (until < retry) throw TimeoutError{describe(object()) + "timed out (" + cause_text(cause) + ')'};
    return 0;
  }

  enum class Patience : std::uint8_t { None, Unresolved, Resolved };

  [[nodiscard]] Descriptor& descriptor() const { return *socket_.descriptor_; }

  [[noreturn]] [[gnu::cold, gnu::noinline]] void fail_closed() const { throw OSError{EBADF, operation_, "closed socket"}; }

  const Socket& socket_;
  const char* operation_;
  Deadline limit_;
  Patience patience_ = Patience::Unresolved;
  bool left_ = false;
};

// ---- making and ending

Socket Socket::own(int fd, Kind kind) {
  FdGuard guard{fd};
  using Nature = Descriptor::Nature;
  const Nature nature = kind.is_tcp                  ? Nature::TcpStream
                        : kind.type == SOCK_STREAM ? Nature::OtherStream
                                                     : Nature::Message;
  Socket socket;
  socket.kind_ = kind;
  socket.timeout_.store(process_timeout.load(std::memory_order_relaxed), std::memory_order_relaxed);
  socket.descriptor_ = Descriptor::adopt(fd, nature);
  guard.release();
  return socket;
}

Socket::Socket(Socket&& other) noexcept
    : descriptor_{std::exchange(other.descriptor_, nullptr)},
      kind_{other.kind_},
      timeout_{other.timeout_.load(std::memory_order_relaxed)},
      peer_state_{other.peer_state_.load(std::memory_order_relaxed)},
      peer_{other.peer_} {}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this == &other) return *this;
  let_go();
  descriptor_ = std::exchange(other.descriptor_, nullptr);
  kind_ = other.kind_;
  timeout_.store(other.timeout_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  peer_state_.store(other.peer_state_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  peer_ = other.peer_;
  return *this;
}

Socket::~Socket() { let_go(); }

void Socket::let_go() noexcept {
  if (descriptor_) std::exchange(descriptor_, nullptr)->dispose();
}

Socket Socket::open(Family family, Type type, int protocol) {
  const Kind kind{static_cast<std::int16_t>(family), static_cast<std::int8_t>(type),
                  type == Type::Stream && (family == Family::Ipv4 || family == Family::Ipv6) &&
                      (protocol == 0 || protocol == IPPROTO_TCP)};
  const int fd = port::sys_socket(kind.family, kind.type, protocol);
  if (fd < 0) throw OSError{-fd, "open socket"};
  Socket socket = own(fd, kind);
  if (kind.is_tcp) socket.set_nodelay(true);
  return socket;
}

Socket Socket::tcp(Family family) { return open(family, Type::Stream, IPPROTO_TCP); }

Socket Socket::udp(Family family) { return open(family, Type::Datagram, IPPROTO_UDP); }

Socket Socket::adopt(int fd) {
  const Kind kind{static_cast<std::int16_t>(checked_option(fd, SOL_SOCKET, SO_DOMAIN)),
                  static_cast<std::int8_t>(checked_option(fd, SOL_SOCKET, SO_TYPE)),
                  checked_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP};
  const int result = port::sys_set_close_on_exec(fd);
  if (result < 0) throw OSError{-result, "adopt", "descriptor " + std::to_string(fd)};
  return own(fd, kind);
}

std::pair<Socket, Socket> Socket::socketpair(Type type) {
  int fds[2];
  const int result = port::sys_socketpair(AF_UNIX, static_cast<int>(type), fds);
  if (result < 0) throw OSError{-result, "open socket pair"};
  FdGuard second{fds[1]};
  const Kind kind{AF_UNIX, static_cast<std::int8_t>(type), false};
  Socket first = own(fds[0], kind);
  return {std::move(first), own(second.release(), kind)};
}

void Socket::close() noexcept {
  if (descriptor_) descriptor_->close();
}

int Socket::detach() noexcept { return descriptor_ ? descriptor_->release_fd() : -1; }

int Socket::fd() const noexcept {
  if (!descriptor_ || !descriptor_->enter()) return -1;
  const int fd = descriptor_->fd();
  descriptor_->leave();
  return fd;
}

bool Socket::is_open() const noexcept { return fd() >= 0; }

void Socket::shutdown(How how) {
  Call call{*this, "shut down", Deadline::never()};
  const int result = port::sys_shutdown(call.fd(), static_cast<int>(how));
  if (result < 0) call.fail(result);
}

// ---- connections

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
  const int fd = call.accept(peer);
  if (fd < 0) call.fail(fd);
  const Address from = peer.address();
  return {own_accepted(fd, from), from};
}

std::optional<Socket> Socket::try_accept() {
  Call call{*this, "accept on", Deadline::never(), /*may_wait=*/false};
  AddressBuffer peer;
  const int fd = call.accept(peer);
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

int Socket::error() {
  return get_option(SOL_SOCKET, SO_ERROR);
}

void Socket::remember_peer(const Address& address) noexcept {
  // The peer of a datagram socket may change, and that of a UNIX socket the kernel does not forget.
  if (kind_.type != SOCK_STREAM || address.is_unix()) return;
  PeerState expected = PeerState::Unknown;
  if (!peer_state_.compare_exchange_strong(expected, PeerState::BeingWritten, std::memory_order_relaxed)) return;
  static_assert(sizeof(sockaddr_in6) == std::tuple_size_v<decltype(peer_)>);
  std::memcpy(peer_.data(), address.data(), std::min<std::size_t>(address.size(), peer_.size()));
  peer_state_.store(PeerState::Known, std::memory_order_release);
}

std::optional<Address> Socket::remembered_peer() const {
  if (peer_state_.load(std::memory_order_acquire) != PeerState::Known) return std::nullopt;
  AddressBuffer buffer;
  std::memcpy(&buffer.storage, peer_.data(), peer_.size());
  buffer.size = static_cast<socklen_t>(peer_.size());
  return buffer.address();
}

// ---- sending

std::size_t Socket::send(const void* data, std::size_t size, Deadline deadline, int flags) {
  Call call{*this, "send to", deadline, !forbids_waiting(flags)};
  const ssize_t sent =
      call.transfer(Direction::Write, size, [=](int fd) { return port::sys_send(fd, data, size, flags); });
  if (sent < 0) call.fail(sent);
  return static_cast<std::size_t>(sent);
}

std::size_t Socket::send(std::string_view bytes, Deadline deadline, int flags) {
  return send(bytes.data(), bytes.size(), deadline, flags);
}

std::size_t Socket::send(std::span<const std::byte> bytes, Deadline deadline, int flags) {
  return send(bytes.data(), bytes.size(), deadline, flags);
}

std::optional<std::size_t> Socket::try_send(const void* data, std::size_t size, int flags) {
  Call call{*this, "send to", Deadline::never(), /*may_wait=*/false};
  const ssize_t sent =
      call.transfer(Direction::Write, size, [=](int fd) { return port::sys_send(fd, data, size, flags); });
  if (sent == -EAGAIN) return std::nullopt;
  if (sent < 0) call.fail(sent);
  return static_cast<std::size_t>(sent);
}

std::optional<std::size_t> Socket::try_send(std::string_view bytes, int flags) {
  return try_send(bytes.data(), bytes.size(), flags);
}

void Socket::send_all(const void* data, std::size_t size, Deadline deadline) {
  Call call{*this, "send to", deadline};
  const char* const bytes = static_cast<const char*>(data);
  for (std::size_t sent = 0; sent < size;) {
    const ssize_t count = call.transfer(Direction::Write, size - sent, [=](int fd) {
      return port::sys_send(fd, bytes + sent, size - sent, 0);
    });
    if (count < 0) call.fail_sending(count, sent, size);
    sent += static_cast<std::size_t>(count);
  }
}

void Socket::send_all(std::string_view bytes, Deadline deadline) { send_all(bytes.data(), bytes.size(), deadline); }

void Socket::send_all(std::span<const std::byte> bytes, Deadline deadline) {
  send_all(bytes.data(), bytes.size(), deadline);
}

void Socket::send_parts(std::span<const std::string_view> parts, Deadline deadline) {
  Call call{*this, "send to", deadline};
  std::size_t total = 0;
  for (const std::string_view part : parts) total += part.size();

  std::size_t sent = 0;
  std::size_t first = 0;   // the part that is not wholly sent,
  std::size_t offset = 0;  // and how much of it is
  while (sent < total) {
    std::array<iovec, kPartsPerCall> pieces;
    std::size_t used = 0;
    std::size_t offered = 0;
    for (std::size_t i = first; i < parts.size() && used < pieces.size(); ++i) {
      const std::string_view rest = i == first ? parts[i].substr(offset) : parts[i];
      if (rest.empty()) continue;
      pieces[used++] = {const_cast<char*>(rest.data()), rest.size()};
      offered += rest.size();
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = used;
    const ssize_t count = call.transfer(Direction::Write, offered,
                                        [&](int fd) { return port::sys_sendmsg(fd, &message, 0); });
    if (count < 0) call.fail_sending(count, sent, total);
    sent += static_cast<std::size_t>(count);
    offset += static_cast<std::size_t>(count);
    while (first < parts.size() && offset >= parts[first].size()) offset -= parts[first++].size();
  }
}

std::size_t Socket::sendfile(int file_fd, off_t offset, std::size_t count, Deadline deadline) {
  Call call{*this, "send file to", deadline};
  std::size_t sent = 0;
  while (sent < count) {
    const std::size_t wanted = std::min(count - sent, kSendfileBytesPerCall);
    // Not `wanted`: a short count may also mean that the file ended, which says nothing about the socket.
    const ssize_t moved = call.transfer(
        Direction::Write, 0, [&](int fd) { return port::sys_sendfile(fd, file_fd, &offset, wanted); });
    if (moved < 0) call.fail_sending(moved, sent, count);
    if (moved == 0) break;
    sent += static_cast<std::size_t>(moved);
  }
  return sent;
}

std::size_t Socket::sendto(std::string_view bytes, const Address& to, Deadline deadline, int flags) {
  Call call{*this, "send to", deadline, !forbids_waiting(flags)};
  Duration pause = kFirstPause;
  for (;;) {
    const auto system = [&](int fd) {
      return port::sys_sendto(fd, bytes.data(), bytes.size(), flags, to.data(), to.size());
    };
    // A full UNIX receiver makes the sender neither unwritable nor, later, writable: look again now and then.
    ssize_t sent = to.is_unix() ? system(call.fd()) : call.transfer(Direction::Write, 0, system);
    if (sent == -EAGAIN && to.is_unix()) {
      sent = call.pause(pause);
      pause = doubled(pause, kLastPause);
      if (sent == 0) continue;
    }
    if (sent < 0) call.fail_on(sent, to.to_string());
    return static_cast<std::size_t>(sent);
  }
}

std::size_t Socket::sendto(std::span<const std::byte> bytes, const Address& to, Deadline deadline, int flags) {
  return sendto(std::string_view{reinterpret_cast<const char*>(bytes.data()), bytes.size()}, to, deadline, flags);
}

std::size_t Socket::sendmsg(const msghdr& message, Deadline deadline, int flags) {
  Call call{*this, "send to", deadline, !forbids_waiting(flags)};
  const bool to_unix_name = kind_.family == AF_UNIX && message.msg_namelen > 0;
  Duration pause = kFirstPause;
  for (;;) {
    const auto system = [&](int fd) { return port::sys_sendmsg(fd, &message, flags); };
    ssize_t sent = to_unix_name ? system(call.fd()) : call.transfer(Direction::Write, 0, system);
    if (sent == -EAGAIN && to_unix_name) {
      sent = call.pause(pause);
      pause = doubled(pause, kLastPause);
      if (sent == 0) continue;
    }
    if (sent < 0) call.fail(sent);
    return static_cast<std::size_t>(sent);
  }
}

// ---- receiving

std::size_t Socket::recv_into(void* buffer, std::size_t size, Deadline deadline, int flags) {
  Call call{*this, "recv from", deadline, !forbids_waiting(flags)};
  const ssize_t received = call.receive(buffer, size, flags);
  if (received < 0) call.fail(received);
  return static_cast<std::size_t>(received);
}

std::size_t Socket::recv_into(std::span<std::byte> buffer, Deadline deadline, int flags) {
  return recv_into(buffer.data(), buffer.size(), deadline, flags);
}

std::string Socket::recv(std::size_t max, Deadline deadline, int flags) {
  std::string bytes(max, '\0');
  // MSG_TRUNC makes it the length of the datagram.
  bytes.resize(std::min(max, recv_into(bytes.data(), bytes.size(), deadline, flags)));
  return bytes;
}

std::optional<std::size_t> Socket::try_recv_into(void* buffer, std::size_t size, int flags) {
  Call call{*this, "recv from", Deadline::never(), /*may_wait=*/false};
  const ssize_t received = call.receive(buffer, size, flags);
  if (received == -EAGAIN) return std::nullopt;
  if (received < 0) call.fail(received);
  return static_cast<std::size_t>(received);
}

void Socket::recv_exactly(void* buffer, std::size_t size, Deadline deadline) {
  Call call{*this, "recv from", deadline};
  char* const bytes = static_cast<char*>(buffer);
  for (std::size_t received = 0; received < size;) {
    const ssize_t count = call.receive(bytes + received, size - received, 0);
    if (count <= 0) call.fail_receiving(count, received, size);
    received += static_cast<std::size_t>(count);
  }
}

void Socket::recv_exactly(std::span<std::byte> buffer, Deadline deadline) {
  recv_exactly(buffer.data(), buffer.size(), deadline);
}

std::string Socket::recv_exactly(std::size_t size, Deadline deadline) {
  std::string bytes(size, '\0');
  recv_exactly(bytes.data(), bytes.size(), deadline);
  return bytes;
}

std::pair<std::string, Address> Socket::recvfrom(std::size_t max, Deadline deadline, int flags) {
  std::pair<std::string, Address> datagram;
  datagram.first.resize(max);
  const auto [size, from] = recvfrom_into(std::as_writable_bytes(std::span{datagram.first}), deadline, flags);
  datagram.first.resize(std::min(size, max));
  datagram.second = from;
  return datagram;
}

std::pair<std::size_t, Address> Socket::recvfrom_into(std::span<std::byte> into, Deadline deadline, int flags) {
  Call call{*this, "recv on", deadline, !forbids_waiting(flags)};
  AddressBuffer from;
  const auto system = [&](int fd) {
    from.size = sizeof from.storage;
    return port::sys_recvfrom(fd, into.data(), into.size(), flags, from.raw(), &from.size);
  };
  const ssize_t received =
      leaves_readiness_alone(flags) ? call.peek(Direction::Read, system) : call.transfer(Direction::Read, 0, system);
  if (received < 0) call.fail(received);
  return {static_cast<std::size_t>(received), from.size == 0 ? Address{} : from.address()};
}

std::size_t Socket::recvmsg(msghdr& message, Deadline deadline, int flags) {
  Call call{*this, "recv from", deadline, !forbids_waiting(flags)};
  // Every try starts from what the caller offered: the kernel overwrites the sizes.
  const msghdr offered = message;
  const auto system = [&](int fd) {
    message = offered;
    return port::sys_recvmsg(fd, &message, flags);
  };
  const ssize_t received =
      leaves_readiness_alone(flags) ? call.peek(Direction::Read, system) : call.transfer(Direction::Read, 0, system);
  if (received < 0) call.fail(received);
  return static_cast<std::size_t>(received);
}

// ---- waiting

bool Socket::wait_readable(Deadline deadline) {
  return Call{*this, "wait for", deadline}.poll(Direction::Read, POLLIN);
}

bool Socket::wait_writable(Deadline deadline) {
  return Call{*this, "wait for", deadline}.poll(Direction::Write, POLLOUT);
}

// ---- settings

void Socket::set_timeout(std::optional<Duration> timeout) {
  timeout_.store(to_timeout(timeout), std::memory_order_relaxed);
}

std::optional<Duration> Socket::timeout() const noexcept {
  return from_timeout(timeout_.load(std::memory_order_relaxed));
}

void Socket::set_blocking(bool blocking) noexcept { timeout_.store(blocking ? kForever : 0, std::memory_order_relaxed); }

bool Socket::is_blocking() const noexcept { return timeout_.load(std::memory_order_relaxed) != 0; }

void Socket::set_default_timeout(std::optional<Duration> timeout) {
  process_timeout.store(to_timeout(timeout), std::memory_order_relaxed);
}

std::optional<Duration> Socket::default_timeout() noexcept {
  return from_timeout(process_timeout.load(std::memory_order_relaxed));
}

void Socket::set_option(int level, int name, std::span<const std::byte> value) {
  Call call{*this, "set option of", Deadline::never()};
  const int result = port::sys_setsockopt(call.fd(), level, name, value.data(), static_cast<socklen_t>(value.size()));
  if (result < 0) call.fail(result);
}

void Socket::set_option(int level, int name, int value) {
  set_option(level, name, std::as_bytes(std::span{&value, 1}));
}

int Socket::get_option(int level, int name) const {
  Call call{*this, "get option of", Deadline::never()};
  int value = 0;
  socklen_t size = sizeof value;
  const int result = port::sys_getsockopt(call.fd(), level, name, &value, &size);
  if (result < 0) call.fail(result);
  return value;
}

void Socket::set_nodelay(bool on) { set_option(IPPROTO_TCP, TCP_NODELAY, on); }

void Socket::set_reuse_address(bool on) { set_option(SOL_SOCKET, SO_REUSEADDR, on); }

void Socket::set_reuse_port(bool on) { set_option(SOL_SOCKET, SO_REUSEPORT, on); }

void Socket::set_keepalive(bool on) { set_option(SOL_SOCKET, SO_KEEPALIVE, on); }

void Socket::set_v6only(bool on) { set_option(IPPROTO_IPV6, IPV6_V6ONLY, on); }

std::string Socket::name() const {
  if (const std::optional<Address> peer = remembered_peer()) return peer->to_string();
  try {
    return Call{*this, "name", Deadline::never()}.object();
  } catch (const OSError&) {
    return "closed socket";
  }
}

Address Socket::local_address() const {
  Call call{*this, "get address of", Deadline::never()};
  AddressBuffer buffer;
  const int result = port::sys_getsockname(call.fd(), buffer.raw(), &buffer.size);
  if (result < 0) call.fail(result);
  return buffer.address();
}

Address Socket::peer_address() const {
  Call call{*this, "get peer of", Deadline::never()};
  AddressBuffer buffer;
  const int result = port::sys_getpeername(call.fd(), buffer.raw(), &buffer.size);
  if (result < 0) call.fail(result);
  return buffer.address();
}

}  // namespace weft
