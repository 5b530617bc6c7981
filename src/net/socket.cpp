#include <weft/net/socket.hpp>

#include <netinet/tcp.h>

#include <cstring>
#include <stdexcept>
#include <tuple>

#include <weft/base/error.hpp>

#include "net/socket_call.hpp"

namespace weft {

using namespace detail;

namespace {

static_assert(static_cast<int>(SocketType::Stream) == SOCK_STREAM);
static_assert(static_cast<int>(SocketType::Datagram) == SOCK_DGRAM);
static_assert(static_cast<int>(SocketType::SequencedPacket) == SOCK_SEQPACKET);

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

// ---- the peer, as remembered for messages

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

int Socket::error() {
  return get_option(SOL_SOCKET, SO_ERROR);
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
