#include "process/connection/link.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/net/address.hpp>

#include "port/passed_descriptors.hpp"
#include "port/socket_calls.hpp"

namespace weft::process::detail {

using weft::detail::Descriptor;

namespace {

constexpr std::uint32_t kLongLength = 0xffffffff, kLongestShort = 0x7fffffff;
// Memory for a message: at first this much, then four times what has come (as FrameStream does).
constexpr std::size_t kFirstBodyBytes = 64 * 1024, kBodyGrowth = 4;
constexpr std::uint16_t kMessagesInARow = 64;
// A thread that found nothing so often does not look before it polls, but every 16th time.
constexpr unsigned kLookAgain = 16;
// What a transfer ended with instead of a count, beside negative errno values.
constexpr ssize_t kDeadlinePassed = -10'000, kClosedMeanwhile = -10'001;

template <class Unsigned>
void put_big_endian(unsigned char* to, Unsigned value) {
  for (std::size_t i = sizeof value; i-- > 0; value = static_cast<Unsigned>(value >> 8))
    to[i] = static_cast<unsigned char>(value);
}

template <class Unsigned>
Unsigned get_big_endian(const unsigned char* from) {
  Unsigned value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) value = static_cast<Unsigned>(value << 8 | from[i]);
  return value;
}

// Both never wait, whatever the flags of the open file say.
ssize_t send_pieces(int fd, const iovec* pieces, std::size_t count, std::span<const OwnedFd> descriptors) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces);
  message.msg_iovlen = count;
  port::PassedRoom room;
  port::attach_descriptors(message, room, descriptors);
  return port::sys_sendmsg(fd, &message, MSG_DONTWAIT);
}

struct Received {
  ssize_t bytes = 0;
  std::vector<OwnedFd> descriptors;
  bool lost_descriptors = false;
};

Received receive_with_descriptors(int fd, void* to, std::size_t size) {
  iovec piece{to, size};
  port::PassedRoom room;
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  port::expect_descriptors(message, room);
  Received received;
  received.bytes = port::sys_recvmsg(fd, &message, MSG_DONTWAIT);
  if (received.bytes < 0 || message.msg_controllen == 0) [[likely]]
    return received;
  received.lost_descriptors = !port::take_descriptors(message, received.descriptors);
  return received;
}

[[gnu::noinline]] int flags_of(int fd) noexcept {
  return ::fcntl(fd, F_GETFL);
}

[[gnu::noinline]] int open_anew(int fd, int access) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const int opened = ::open(path.c_str(), access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  return opened < 0 ? -errno : opened;
}

}  // namespace

// One call in progress: keeps the descriptor's number from being reused, has its direction for itself, knows until when
// it may wait.
class Link::Call {
 public:
  Call(Link& link, Direction direction, const char* operation, Deadline deadline)
      : link_{link}, direction_{direction}, operation_{operation}, deadline_{deadline} {
    link.settle_in_this_process();
    take_turns();
    if (!descriptor().enter()) throw OSError{EBADF, operation, "closed connection"};
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() { descriptor().leave(); }

  [[nodiscard]] std::unique_lock<weft::Lock> have_turn(weft::Lock& lock) const {
    std::unique_lock<weft::Lock> held{lock, Clock::time_point{Duration{deadline_.nanoseconds()}}};
    if (!held.owns_lock()) fail(kDeadlinePassed);
    return held;
  }

  // Runs `system(fd)` until it does something else than to ask for patience. Its result, or kDeadlinePassed or
  // kClosedMeanwhile.
  enum class Look : bool { AfterWaiting, First };
  template <class System>
  ssize_t transfer(System system, Look look = Look::First) {
    Descriptor& d = descriptor();
    for (;; look = Look::First) {
      const std::uint64_t seen = d.readiness(direction_);
      if (look == Look::First && Descriptor::may_be_ready(seen, direction_)) {
        if (const ssize_t count = system(d.fd()); count != -EAGAIN) return count;
        d.drained(seen, direction_);
      }
      const ssize_t result = wait();
      if (result == kDeadlinePassed) {
        // What is remembered as drained may be so no longer, though the reactor has not come to see it.
        const ssize_t count = system(d.fd());
        return count == -EAGAIN ? kDeadlinePassed : count;
      }
      if (result < 0) return result;
    }
  }

  // 0, kDeadlinePassed, kClosedMeanwhile, or what epoll_ctl said. Throws what interrupts a wait.
  ssize_t wait() {
    waited_ = true;
    link_.streak_.store(0, std::memory_order_relaxed);
    const int result = descriptor().wait(direction_, deadline_);
    if (result == -ECANCELED) weft::detail::throw_interruption();
    if (result == -ETIMEDOUT) return kDeadlinePassed;
    return result == -EBADF ? kClosedMeanwhile : result;
  }

  [[nodiscard]] bool waited() const noexcept { return waited_; }
  [[nodiscard]] int fd() const noexcept { return descriptor().fd(); }
  [[nodiscard]] std::string description() const {
    return std::string{operation_} + ' ' + link_.name() + ": ";
  }

  [[noreturn]] [[gnu::cold]] void fail(ssize_t code) const {
    if (code == kDeadlinePassed) throw TimeoutError{description() + "timed out"};
    if (code == kClosedMeanwhile) throw OSError{EBADF, operation_, link_.name() + " (closed meanwhile)"};
    throw OSError{static_cast<int>(-code), operation_, link_.name()};
  }

 private:
  // A fiber whose peer is always ready would have its worker for itself, and could not be killed. Before the message,
  // so that a kill loses nothing.
  void take_turns() const {
    const std::uint16_t streak = link_.streak_.load(std::memory_order_relaxed);
    link_.streak_.store(static_cast<std::uint16_t>(streak + 1), std::memory_order_relaxed);
    if (streak < kMessagesInARow) [[likely]]
      return;
    link_.streak_.store(0, std::memory_order_relaxed);
    if (in_fiber()) weft::yield();
  }

  [[nodiscard]] Descriptor& descriptor() const noexcept { return *link_.descriptor_; }

  Link& link_;
  const Direction direction_;
  const char* operation_;
  const Deadline deadline_;
  bool waited_ = false;
};

// ---- making one

Link::Link(OwnedFd fd, Ways ways)
    : carrier_{carrier_of(fd.get())}, process_{2 * std::uint64_t{weft::detail::this_process()}} {
  if (carrier_ == Carrier::File) {
    const int access = flags_of(fd.get()) & O_ACCMODE;
    ways = access == O_RDONLY ? Ways::Receive : access == O_WRONLY ? Ways::Send : Ways::Both;
  }
  readable_.store(ways != Ways::Send, std::memory_order_relaxed);
  writable_ = ways != Ways::Receive;
  OwnedFd own = prepared(std::move(fd), carrier_);
  descriptor_ = Descriptor::adopt(own.get(), Descriptor::Nature::OtherStream, Descriptor::Mode::AsItIs);
  (void)own.release();
}

Link::Carrier Link::carrier_of(int fd) {
  const std::string object = "descriptor " + std::to_string(fd);
  int family = 0;
  socklen_t size = sizeof family;
  const int result = port::sys_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
  if (result == 0) {
    int type = 0;
    size = sizeof type;
    if (port::sys_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM) {
      throw OSError{EPROTOTYPE, "make a connection of " + object, "which is a socket, but not of a stream"};
    }
    return family == AF_UNIX ? Carrier::Unix : Carrier::OtherSocket;
  }
  if (result != -ENOTSOCK) throw OSError{-result, "make a connection of", object};
  struct stat status;
  if (::fstat(fd, &status) < 0 || !S_ISFIFO(status.st_mode)) {
    throw OSError{EINVAL, "make a connection of " + object, "which is neither a socket nor a pipe"};
  }
  return Carrier::File;
}

// A pipe knows no MSG_DONTWAIT: opened anew it is an open file of our own, whose O_NONBLOCK nobody else sees.
OwnedFd Link::prepared(OwnedFd fd, Carrier carrier) {
  if (carrier != Carrier::File) {
    (void)port::sys_set_close_on_exec(fd.get());
    return fd;
  }
  const int opened = open_anew(fd.get(), flags_of(fd.get()) & O_ACCMODE);
  if (opened == -ENXIO) return fd;  // for writing, without a reader: what is written fails at once
  if (opened < 0)
    throw OSError{-opened, "open the pipe behind descriptor " + std::to_string(fd.get()),
                  "anew through /proc/self/fd"};
  return OwnedFd{opened};
}

// After a fork: whoever sent or received in the parent does so there. What one who was about it left here may be half changed, so that
// it is replaced, not destroyed.
void Link::settle_in_this_process() noexcept {
  const std::uint64_t settled = 2 * std::uint64_t{weft::detail::this_process()};
  std::uint64_t seen = process_.load(std::memory_order_acquire);
  weft::detail::Backoff backoff;
  while (seen != settled) [[unlikely]] {
      if (seen == settled + 1) {  // another thread is just doing it
        backoff.pause();
        seen = process_.load(std::memory_order_acquire);
      } else if (process_.compare_exchange_weak(seen, settled + 1, std::memory_order_acquire)) {
        if (!receiving_.locked()) {
          parent_has_rest_ = parent_has_rest_ || within_message();  // whoever is about it there goes on with it; but this was left by one who ran out of time
          partial_ = Partial{};
        }
        std::construct_at(&receiving_, "receiving end of a connection");
        std::construct_at(&sending_, "sending end of a connection");
        std::construct_at(&partial_);
        process_.store(settled, std::memory_order_release);
        return;
      }
    }
}

// ---- sending

void Link::send(std::span<const std::byte> message, std::span<const OwnedFd> descriptors, Deadline deadline) {
  if (!writable_) throw InvalidStateError{"send to " + name() + ": this end only receives"};
  if (!descriptors.empty() && (carrier_ != Carrier::Unix || descriptors.size() > port::kMostPassed)) {
    throw ProtocolError{
        "send to " + name() + ": the value holds " + std::to_string(descriptors.size()) +
        " descriptors; a message over a UNIX socket takes at most 253 along, and over anything else none"};
  }
  Call call{*this, Direction::Write, "send to", deadline};
  const auto turn = call.have_turn(sending_);
  if (torn_) throw OSError{EPIPE, "send to", name() + ", to which an earlier message was sent in part"};

  unsigned char header[kLongHeader];
  const bool is_short = message.size() <= kLongestShort;
  put_big_endian(header, is_short ? static_cast<std::uint32_t>(message.size()) : kLongLength);
  if (!is_short) put_big_endian(header + kShortHeader, std::uint64_t{message.size()});
  iovec pieces[2] = {{header, is_short ? kShortHeader : kLongHeader},
                     {const_cast<std::byte*>(message.data()), message.size()}};
  std::size_t missing = pieces[0].iov_len + pieces[1].iov_len;

  // However this ends: a message in part must be the last.
  struct Tearing {
    Link& link;
    const Call& call;
    const std::size_t& missing;
    const std::size_t total = missing;
    ~Tearing() {
      if (missing != 0 && missing != total) link.tear_stream(call.fd());
    }
  } const tearing{*this, call, missing};

  while (missing != 0) {
    const std::size_t first = pieces[0].iov_len == 0 ? 1 : 0;
    const std::size_t count = pieces[1].iov_len == 0 ? 1 - first : 2 - first;
    const ssize_t sent = call.transfer([&](int fd) {
      if (carrier_ == Carrier::File) return port::sys_writev(fd, pieces + first, count);
      return send_pieces(fd, pieces + first, count,
                         missing == tearing.total ? descriptors : std::span<const OwnedFd>{});
    });
    if (sent < 0) call.fail(sent);
    missing -= static_cast<std::size_t>(sent);
    for (std::size_t i = first, left = static_cast<std::size_t>(sent); i < 2; ++i) {
      const std::size_t of_this = std::min(left, pieces[i].iov_len);
      pieces[i] = {static_cast<char*>(pieces[i].iov_base) + of_this, pieces[i].iov_len - of_this};
      left -= of_this;
    }
  }
}

// The other end would wait for the rest for ever: it shall see that there is none.
void Link::tear_stream(int fd) noexcept {
  torn_ = true;
  if (carrier_ == Carrier::File) {
    descriptor_->close();
  } else {
    (void)port::sys_shutdown(fd, SHUT_WR);
  }
}

void Link::send_descriptor(int fd, Deadline deadline) {
  if (!writable_) throw InvalidStateError{"send a descriptor to " + name() + ": this end only receives"};
  if (carrier_ != Carrier::Unix)
    throw ProtocolError{"send a descriptor to " + name() + ": only UNIX sockets carry descriptors"};
  Call call{*this, Direction::Write, "send a descriptor to", deadline};
  const auto turn = call.have_turn(sending_);
  if (torn_)
    throw OSError{EPIPE, "send a descriptor to", name() + ", to which an earlier message was sent in part"};
  const OwnedFd descriptors[1] = {OwnedFd::duplicate(fd)};
  unsigned char how_many = 1;
  const iovec piece{&how_many, 1};
  const ssize_t sent = call.transfer([&](int to) { return send_pieces(to, &piece, 1, descriptors); });
  if (sent < 0) call.fail(sent);
}

// ---- receiving

void Link::require_readable(const char* operation) const {
  if (readable_.load(std::memory_order_relaxed)) [[likely]]
    return;
  throw InvalidStateError{operation + name() + ": this end does not receive"};
}

Link::Message Link::receive(Deadline deadline, std::uint64_t most_bytes, Descriptors descriptors) {
  require_readable("receive from ");
  Call call{*this, Direction::Read, "receive from", deadline};
  const auto turn = call.have_turn(receiving_);
  receive_header(call, most_bytes, descriptors);
  receive_body(call);
  return take_message();
}

std::size_t Link::receive_into(std::span<std::byte> buffer, Deadline deadline) {
  require_readable("receive from ");
  Call call{*this, Direction::Read, "receive from", deadline};
  const auto turn = call.have_turn(receiving_);
  receive_header(call, Connection::kMostBytes, Descriptors::Drop);
  const std::uint64_t length = *partial_.length;
  if (length > buffer.size() || partial_.body_bytes != 0) {
    receive_body(call);
    const std::string body = take_message().bytes;
    if (body.size() > buffer.size()) {
      throw BufferTooShort{"receive from " + name() + ": the message has " + std::to_string(body.size()) +
                               " bytes, and the buffer " + std::to_string(buffer.size()),
                           body};
    }
    std::memcpy(buffer.data(), body.data(), body.size());
    return body.size();
  }
  // Straight to where it shall be, unless it is interrupted: what has come is then kept for the next call.
  std::size_t received = 0;
  try {
    while (received < length)
      received += static_cast<std::size_t>(receive_some(call, buffer.data() + received, length - received));
  } catch (...) {
    partial_.body.assign(reinterpret_cast<const char*>(buffer.data()), received);
    partial_.body_bytes = received;
    throw;
  }
  (void)take_message();
  return received;
}

void Link::require_whole(const Call& call) const {
  if (!parent_has_rest_) [[likely]]
    return;
  throw InvalidStateError{call.description() +
                          "the parent of this process had received a part of a message when it forked; only it knows where the next one begins"};
}

void Link::receive_header(Call& call, std::uint64_t most_bytes, Descriptors descriptors) {
  require_whole(call);
  const bool takes_descriptors = carrier_ == Carrier::Unix && descriptors == Descriptors::Take;
  while (!partial_.length) {
    const bool is_first = partial_.header_bytes == 0;
    const std::size_t wanted = partial_.header_bytes < kShortHeader ? kShortHeader - partial_.header_bytes
                                                                    : kLongHeader - partial_.header_bytes;
    using Look = Call::Look;
    const bool expects_nothing = is_first && found_empty_ % kLookAgain != 0 && !in_fiber();
    const Look look = expects_nothing ? Look::AfterWaiting : Look::First;
    unsigned char* const to = partial_.header.data() + partial_.header_bytes;
    const ssize_t received = call.transfer(
        [&](int fd) {
          return takes_descriptors           ? receive_with_descriptors(fd, to, wanted)
                 : carrier_ == Carrier::File ? port::sys_read(fd, to, wanted)
                                             : port::sys_recv(fd, to, wanted, MSG_DONTWAIT);
        },
        look);
    if (is_first) found_empty_ = call.waited() ? found_empty_ + 1 : 0;
    partial_.header_bytes += static_cast<std::size_t>(check_received(call, received));
    if (partial_.header_bytes >= kShortHeader)
      partial_.length = length_in(partial_.header, partial_.header_bytes);
  }
  if (*partial_.length <= most_bytes) return;
  stop_receiving();
  throw ProtocolError{call.description() + "the next message has " + std::to_string(*partial_.length) +
                      " bytes, and at most " + std::to_string(most_bytes) +
                      " were to be received; nothing more can be received here"};
}

// Nothing: the header is not complete. Throws: ProtocolError.
std::optional<std::uint64_t> Link::length_in(const std::array<unsigned char, kLongHeader>& header,
                                             std::size_t bytes) {
  const auto length = get_big_endian<std::uint32_t>(header.data());
  if (length <= kLongestShort) return length;
  if (length != kLongLength) {
    stop_receiving();
    throw ProtocolError{"receive from " + name() + ": a message cannot have " +
                        std::to_string(static_cast<std::int32_t>(length)) +
                        " bytes; does the other end speak another protocol?"};
  }
  if (bytes < kLongHeader) return std::nullopt;
  return get_big_endian<std::uint64_t>(header.data() + kShortHeader);
}

void Link::receive_body(Call& call) {
  while (partial_.body_bytes < *partial_.length) {
    if (partial_.body_bytes == partial_.body.size()) {
      const std::size_t room = std::max(kFirstBodyBytes, kBodyGrowth * partial_.body_bytes);
      partial_.body.resize(static_cast<std::size_t>(std::min<std::uint64_t>(*partial_.length, room)));
    }
    partial_.body_bytes += static_cast<std::size_t>(receive_some(
        call, partial_.body.data() + partial_.body_bytes, partial_.body.size() - partial_.body_bytes));
  }
}

// At least one byte.
ssize_t Link::receive_some(Call& call, void* to, std::size_t size) {
  return check_received(call, call.transfer([&](int fd) {
    return carrier_ == Carrier::File ? port::sys_read(fd, to, size)
                                     : port::sys_recv(fd, to, size, MSG_DONTWAIT);
  }));
}

ssize_t Link::receive_with_descriptors(int fd, void* to, std::size_t size) {
  Received received = detail::receive_with_descriptors(fd, to, size);
  if (received.bytes > 0) {
    std::ranges::move(received.descriptors, std::back_inserter(partial_.descriptors));
    partial_.lost_descriptors |= received.lost_descriptors;
  }
  return received.bytes;
}

// A UNIX socket says "connection reset" when its peer was closed without having read all that we sent; what the peer
// sent has all been received by then.
ssize_t Link::check_received(const Call& call, ssize_t code) const {
  if (code > 0) [[likely]]
    return code;
  if (code < 0 && !(code == -ECONNRESET && carrier_ == Carrier::Unix)) call.fail(code);
  if (partial_.header_bytes == 0) throw EndOfStream{call.description() + "the other end has been closed", 0};
  const std::string had =
      partial_.length ? std::to_string(partial_.body_bytes) + " of its " + std::to_string(*partial_.length)
                      : std::to_string(partial_.header_bytes) + " of its header's";
  throw ProtocolError{call.description() + "the stream ended inside a message, after at least " + had +
                      " bytes"};
}

// Nobody knows where the next message begins.
void Link::stop_receiving() noexcept {
  readable_.store(false, std::memory_order_relaxed);
  if (!writable_) close();
}

Link::Message Link::take_message() noexcept {
  Message message{std::move(partial_.body), std::move(partial_.descriptors), partial_.lost_descriptors};
  partial_ = Partial{};
  return message;
}

OwnedFd Link::receive_descriptor(Deadline deadline) {
  require_readable("receive a descriptor from ");
  if (carrier_ != Carrier::Unix)
    throw ProtocolError{"receive a descriptor from " + name() + ": only UNIX sockets carry descriptors"};
  Call call{*this, Direction::Read, "receive a descriptor from", deadline};
  const auto turn = call.have_turn(receiving_);
  require_whole(call);
  if (within_message())
    throw InvalidStateError{"receive a descriptor from " + name() + ": a message has been received in part"};
  unsigned char how_many = 0;
  Received received;
  (void)check_received(call, call.transfer([&](int fd) {
    received = detail::receive_with_descriptors(fd, &how_many, 1);
    return received.bytes;
  }));
  if (received.lost_descriptors) throw OSError{EMFILE, "receive a descriptor from", name()};
  if (how_many != 1 || received.descriptors.size() != 1) {
    throw ProtocolError{call.description() + "what came is no descriptor; was a message sent?"};
  }
  return std::move(received.descriptors.front());
}

// ---- the rest

bool Link::poll(Deadline deadline) {
  require_readable("poll ");
  Call call{*this, Direction::Read, "poll", deadline};
  for (bool is_last = false;;) {
    const std::uint64_t seen = descriptor_->readiness(Direction::Read);
    pollfd polled{call.fd(), POLLIN, 0};
    if (port::sys_ppoll(&polled, 1, 0) > 0) return true;
    if (is_last) return false;
    descriptor_->drained(seen, Direction::Read);
    if (deadline == Deadline::already()) return false;
    const ssize_t result = call.wait();
    is_last = result == kDeadlinePassed;
    if (result < 0 && !is_last) call.fail(result);
  }
}

int Link::fd() const noexcept {
  if (!descriptor_->enter()) return -1;
  const int fd = descriptor_->fd();
  descriptor_->leave();
  return fd;
}

Ways Link::ways() const noexcept {
  return !writable_ ? Ways::Receive : readable_.load(std::memory_order_relaxed) ? Ways::Both : Ways::Send;
}

std::string Link::name() const {
  if (!descriptor_->enter()) return "closed connection";
  const int fd = descriptor_->fd();
  sockaddr_storage storage{};
  auto* const raw = reinterpret_cast<sockaddr*>(&storage);
  std::string text;
  for (const auto ask : {&port::sys_getpeername, &port::sys_getsockname}) {
    socklen_t size = sizeof storage;
    if (carrier_ == Carrier::File || !text.empty() || ask(fd, raw, &size) < 0 || size <= sizeof(sa_family_t))
      continue;
    text = Address::from_sockaddr(raw, std::min<socklen_t>(size, sizeof storage)).to_string();
  }
  descriptor_->leave();
  return text.empty() ? "the pipe at descriptor " + std::to_string(fd) : text;
}

}  // namespace weft::process::detail
