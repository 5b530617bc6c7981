#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/detail/socket_way.hpp>
#include <weft/net/address.hpp>

struct msghdr;

namespace weft {

/// How a socket cuts what it carries.
enum class SocketType : int {
  Stream = 1,           // SOCK_STREAM
  Datagram = 2,         // SOCK_DGRAM
  SequencedPacket = 5,  // SOCK_SEQPACKET
};

/// Sending all of something ran out of time; the bytes counted here went out (to the kernel, at least).
class SendTimeout : public TimeoutError {
 public:
  SendTimeout(const std::string& what, std::size_t sent) : TimeoutError(what), sent_(sent) {}
  [[nodiscard]] std::size_t sent() const noexcept { return sent_; }

 private:
  std::size_t sent_;
};

/// recv_exactly() ran out of time; the bytes counted here were taken from the stream.
class RecvTimeout : public TimeoutError {
 public:
  RecvTimeout(const std::string& what, std::size_t received) : TimeoutError(what), received_(received) {}
  [[nodiscard]] std::size_t received() const noexcept { return received_; }

 private:
  std::size_t received_;
};

/// An end point of communication, used with plain blocking calls from threads and fibers alike.
///
/// Semantics:     after Python socket.socket; differs: a deadline can be given to each call, close() wakes whoever
///                waits in a call on the same socket, TCP_NODELAY is on, SIGPIPE is never raised, and every
///                descriptor is close-on-exec. Underneath, the descriptor is always non-blocking.
/// Time limits:   a call's own `deadline` counts when given; else set_timeout() counts from the start of the call.
///                Running out throws TimeoutError, and nothing is lost. In non-blocking mode (set_blocking(false))
///                a call that would wait throws WouldBlock at once, whatever its deadline.
/// Errors:        OSError that names operation, address and cause. A call on a closed socket, or one that is
///                waiting while another context closes the socket, throws OSError with EBADF.
/// Thread-safety: one Socket may be used by any number of threads and fibers at once, close() included; a stream
///                keeps its order only with one sender and one receiver at a time. Moving or destroying a Socket
///                needs it to be otherwise unused.
/// Blocking:      parks the fiber, or the thread when called outside one; each wait is a cancellation point. A fiber
///                that never has to wait lets others run after every 64 transfers, before the next one begins.
/// Cost:          one system call for a transfer that need not wait; no allocation (but for returned strings).
/// Example:       examples/tcp_echo.cpp, examples/udp_echo.cpp
class Socket {
 public:
  using Type = SocketType;
  enum class How : int { Read = 0, Write = 1, Both = 2 };

  /// Asks the kernel for as many waiting connections as it allows (net.core.somaxconn).
  static constexpr int kDefaultBacklog = 1 << 16;

  /// A Socket that holds nothing: every call throws OSError with EBADF.
  Socket() noexcept = default;
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  /// Closes the socket.
  ~Socket();

  // ---- making sockets

  [[nodiscard]] static Socket tcp(Family family = Family::Ipv4);
  [[nodiscard]] static Socket udp(Family family = Family::Ipv4);
  [[nodiscard]] static Socket open(Family family, Type type, int protocol = 0);
  /// Takes over an open socket descriptor, makes it non-blocking and close-on-exec; options stay as they are.
  /// Throws: OSError when it is no socket; the descriptor is then still the caller's.
  [[nodiscard]] static Socket adopt(int fd);
  /// Two UNIX sockets connected to each other.
  [[nodiscard]] static std::pair<Socket, Socket> socketpair(Type type = Type::Stream);

  // ---- connections

  void bind(const Address& address);
  /// Starts listening. `backlog` bounds the connections the kernel completes before accept() takes them; beyond
  /// it, clients are left to try again. The kernel cuts it to net.core.somaxconn.
  void listen(int backlog = kDefaultBacklog);
  /// Takes the next connection. When the process or the machine is out of descriptors or memory it waits (5 ms,
  /// doubling up to 1 s) and tries again; a connection that broke before it was taken is skipped. TCP_NODELAY is on
  /// in the new socket.
  [[nodiscard]] Socket accept(Deadline deadline = {});
  [[nodiscard]] std::pair<Socket, Address> accept_with_address(Deadline deadline = {});
  /// Never waits; nothing when no connection is there, or none can be taken for lack of descriptors or memory.
  [[nodiscard]] std::optional<Socket> try_accept();

  /// Connects; for a datagram socket, sets the default peer. After a TimeoutError the attempt goes on in the
  /// kernel: close the socket, or call connect() again to wait on.
  /// Throws: OSError; WouldBlock with EINPROGRESS in non-blocking mode (done when wait_writable(), see error()).
  void connect(const Address& address, Deadline deadline = {});
  /// As connect(), but returns 0 or the error number: EINPROGRESS or EALREADY in non-blocking mode, ETIMEDOUT
  /// when the deadline passed.
  [[nodiscard]] int connect_ex(const Address& address, Deadline deadline = {});
  /// Takes and clears the pending error of the socket (SO_ERROR): 0 or an error number.
  [[nodiscard]] int error();

  // ---- streams

  /// Sends some of `bytes`, at least one unless they are empty. Returns how many. `flags` are those of send(2).
  std::size_t send(std::string_view bytes, Deadline deadline = {}, int flags = 0);
  std::size_t send(std::span<const std::byte> bytes, Deadline deadline = {}, int flags = 0);
  std::size_t send(const void* data, std::size_t size, Deadline deadline = {}, int flags = 0);
  /// Sends all of `bytes`. Throws: SendTimeout, which says how much went out, in non-blocking mode too; OSError.
  void send_all(std::string_view bytes, Deadline deadline = {});
  void send_all(std::span<const std::byte> bytes, Deadline deadline = {});
  void send_all(const void* data, std::size_t size, Deadline deadline = {});
  /// Sends all of several pieces as if they were one, with as few system calls as possible.
  /// Throws: SendTimeout, which counts over all pieces; OSError.
  void send_parts(std::span<const std::string_view> parts, Deadline deadline = {});

  /// Receives at most `max` bytes, at least one; empty at the end of the stream. `flags` are those of recv(2).
  [[nodiscard]] std::string recv(std::size_t max, Deadline deadline = {}, int flags = 0);
  /// As recv(), into the caller's memory. Returns the number of bytes; 0 at the end of the stream.
  [[nodiscard]] std::size_t recv_into(std::span<std::byte> buffer, Deadline deadline = {}, int flags = 0);
  [[nodiscard]] std::size_t recv_into(void* buffer, std::size_t size, Deadline deadline = {}, int flags = 0);
  /// Fills all of `buffer`. Throws: EndOfStream or RecvTimeout, which say how much came; OSError.
  void recv_exactly(std::span<std::byte> buffer, Deadline deadline = {});
  void recv_exactly(void* buffer, std::size_t size, Deadline deadline = {});
  [[nodiscard]] std::string recv_exactly(std::size_t size, Deadline deadline = {});

  /// Sends `count` bytes of the regular file `file_fd` from `offset` on, without copying them through the program.
  /// Fewer only when the file ends first. Returns how many. A file that is not in the page cache is read on the
  /// calling thread. Throws: SendTimeout; OSError.
  std::size_t sendfile(int file_fd, off_t offset, std::size_t count, Deadline deadline = {});

  /// Never wait: nothing when the call would have to.
  [[nodiscard]] std::optional<std::size_t> try_send(std::string_view bytes, int flags = 0);
  [[nodiscard]] std::optional<std::size_t> try_send(const void* data, std::size_t size, int flags = 0);
  [[nodiscard]] std::optional<std::size_t> try_recv_into(void* buffer, std::size_t size, int flags = 0);

  // ---- datagrams and messages

  std::size_t sendto(std::string_view bytes, const Address& to, Deadline deadline = {}, int flags = 0);
  std::size_t sendto(std::span<const std::byte> bytes, const Address& to, Deadline deadline = {}, int flags = 0);
  /// The next datagram, cut to `max` bytes, and its sender. Use recvmsg() to learn whether it was cut.
  [[nodiscard]] std::pair<std::string, Address> recvfrom(std::size_t max, Deadline deadline = {}, int flags = 0);
  [[nodiscard]] std::pair<std::size_t, Address> recvfrom_into(std::span<std::byte> buffer, Deadline deadline = {},
                                                              int flags = 0);
  /// sendmsg(2) and recvmsg(2), for control messages and scattered memory. Received descriptors are close-on-exec.
  std::size_t sendmsg(const msghdr& message, Deadline deadline = {}, int flags = 0);
  std::size_t recvmsg(msghdr& message, Deadline deadline = {}, int flags = 0);

  // ---- waiting without transferring

  /// Whether a receive (send) would not wait, as poll(2) sees it; false when the deadline passed first.
  /// Errors and the end of the stream count as ready. Works in non-blocking mode too.
  [[nodiscard]] bool wait_readable(Deadline deadline = {});
  [[nodiscard]] bool wait_writable(Deadline deadline = {});
  /// Cases of select(): ready when wait_readable(), or wait_writable(), would not wait.
  template <class F>
  [[nodiscard]] auto on_readable(F callable) const {
    return detail::SelectCase<detail::SocketWay, F>{std::move(callable), *this, detail::SocketWay::Wanted::Readable};
  }
  template <class F>
  [[nodiscard]] auto on_writable(F callable) const {
    return detail::SelectCase<detail::SocketWay, F>{std::move(callable), *this, detail::SocketWay::Wanted::Writable};
  }

  // ---- the end

  /// Ends one or both directions of the connection; the peer sees the end of the stream.
  void shutdown(How how);
  /// Closes the socket; calls that wait on it fail with EBADF. The descriptor is given back to the kernel once the
  /// last of them has left, so its number is never reused under them. Closing twice is fine.
  void close() noexcept;
  /// Gives the descriptor up without closing it (it stays non-blocking) and returns it; calls that wait fail
  /// with EBADF. Returns -1 when the socket was closed.
  [[nodiscard]] int detach() noexcept;
  /// The descriptor, still owned by the Socket; -1 when closed.
  [[nodiscard]] int fd() const noexcept;
  [[nodiscard]] bool is_open() const noexcept;

  // ---- settings

  /// Bounds every following call that is given no deadline. Nothing: wait for ever. Zero: non-blocking mode.
  void set_timeout(std::optional<Duration> timeout);
  [[nodiscard]] std::optional<Duration> timeout() const noexcept;
  /// false: calls that would wait throw WouldBlock. true: they wait for ever. (As Python's setblocking.)
  void set_blocking(bool blocking) noexcept;
  [[nodiscard]] bool is_blocking() const noexcept;
  /// What new sockets, accepted ones included, start with.
  static void set_default_timeout(std::optional<Duration> timeout);
  [[nodiscard]] static std::optional<Duration> default_timeout() noexcept;

  void set_option(int level, int name, int value);
  void set_option(int level, int name, std::span<const std::byte> value);
  [[nodiscard]] int get_option(int level, int name) const;
  void set_nodelay(bool on);
  void set_reuse_address(bool on);
  void set_reuse_port(bool on);
  void set_keepalive(bool on);
  /// Whether an IPv6 socket refuses IPv4 peers.
  void set_v6only(bool on);

  /// For messages and logs: the peer's address, else the own one, else a description; never fails.
  [[nodiscard]] std::string name() const;
  [[nodiscard]] Address local_address() const;
  [[nodiscard]] Address peer_address() const;
  [[nodiscard]] Family family() const noexcept { return static_cast<Family>(kind_.family); }
  [[nodiscard]] Type type() const noexcept { return static_cast<Type>(kind_.type); }

 private:
  class Call;
  friend class detail::SocketWay;
  struct Kind {
    std::int16_t family = 0;
    std::int8_t type = 0;
    bool is_tcp = false;
  };

  static Socket own(int fd, Kind kind);
  Socket own_accepted(int fd, const Address& peer) const;
  int connect_within(Call& call, const Address& address);
  void remember_peer(const Address& address) noexcept;
  [[nodiscard]] std::optional<Address> remembered_peer() const;
  void let_go() noexcept;
  [[nodiscard]] detail::Descriptor* descriptor() const noexcept { return descriptor_; }

  // Fixed between moves. The descriptor outlives close(): it goes back to its pool when the Socket lets go of it.
  detail::Descriptor* descriptor_ = nullptr;
  Kind kind_;
  // Nanoseconds: kForever, 0 for non-blocking mode, or the timeout.
  static constexpr std::int64_t kForever = -1;
  std::atomic<std::int64_t> timeout_{kForever};
  // How many transfers in a row did not wait; such a fiber would keep its worker from all others. Approximate.
  mutable std::atomic<std::uint16_t> streak_{0};
  // For messages about connections that broke: the kernel forgets the peer then. The address of an IPv4 or IPv6 peer,
  // written once, then fixed; here and not in memory of its own, as a server has very many of these.
  enum class PeerState : std::uint8_t { Unknown, BeingWritten, Known };
  std::atomic<PeerState> peer_state_{PeerState::Unknown};
  std::array<unsigned char, 28> peer_{};
};

}  // namespace weft
