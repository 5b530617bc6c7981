#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/base/owned_fd.hpp>
#include <weft/detail/descriptor_way.hpp>
#include <weft/process/sendable.hpp>

namespace weft::process {

class Connection;

namespace detail {

class Link;

/// What select() waits for at a connection.
class ConnectionWay : public weft::detail::DescriptorWay {
 public:
  ConnectionWay(const Connection& connection, Wanted wanted)
      : DescriptorWay{wanted}, connection_{connection} {}

 private:
  [[nodiscard]] weft::detail::Descriptor* find() const noexcept override;
  [[nodiscard]] std::string object() const override;

  const Connection& connection_;
};

}  // namespace detail

/// Connection::recv_bytes_into(): the message was longer than the buffer. It has been received, and is here.
class BufferTooShort : public Error {
 public:
  BufferTooShort(const std::string& what, std::string message) : Error{what}, message_{std::move(message)} {}
  [[nodiscard]] const std::string& message() const noexcept { return message_; }

 private:
  std::string message_;
};

/// Which ways an end of a pipe is for.
enum class Ways : unsigned char { Both, Receive, Send };

/// One end of a stream that carries whole messages between processes: pipe(), Listener, Client, or a descriptor.
///
/// Semantics:     after Python multiprocessing.connection.Connection, byte for byte: send_bytes() and recv_bytes() talk
///                to a CPython process, and pickle::dumps() (<weft/process/pickle.hpp>) makes what its recv() takes.
///                send() and recv<T>() are for processes of the same program. Differs: every call takes a deadline,
///                messages of several users never mix, descriptors travel inside values, close() wakes whoever waits.
/// Messages:      any size up to what the receiver allows. Memory grows with the bytes that came, not with the size
///                that was announced.
/// The end:       when the other end is closed, or its last process has died, and everything it sent was received:
///                EndOfStream. When it ended inside a message: ProtocolError. Sending to it then: OSError with EPIPE;
///                no signal is raised.
/// Time limits:   a receive that ran out of time, or was cancelled, may be repeated: the message continues where it
///                was. A send that ran out of time before its first byte sent nothing; in the middle of a message it
///                leaves a stream that nobody can read: the other end is told (it sees the end of the stream inside a
///                message), and further sends throw OSError with EPIPE.
/// Thread-safety: any number of threads and fibers of a process may send and receive at once: whole messages, one after
///                another. If several *processes* use the same end (after a fork, or sent to several), they must take
///                turns by a process::Lock: nothing beyond the message asked for is ever read ahead. Moving or
///                destroying needs it to be otherwise unused.
/// Blocking:      parks the fiber, or the thread when called outside one; a cancellation point. A fiber that never has
///                to wait lets others run after every 64 messages.
/// Sharing:       O_NONBLOCK belongs to the open file, which other processes may have too, so that it is left alone.
///                Sockets are used with MSG_DONTWAIT; a pipe or FIFO is opened anew (through /proc/self/fd) for an open
///                file of its own.
/// Cost:          send: one system call; receive: two, and one more where it has to wait. 64 bytes there and back take
///                about as long as over a bare socket pair (docs/benchmarks.md).
class Connection {
 public:
  /// The longest message that is received unless a call says otherwise.
  static constexpr std::uint64_t kMostBytes = std::uint64_t{4} << 30;

  /// Holds nothing: every call throws OSError with EBADF.
  Connection() noexcept;
  /// Takes over a stream socket, a pipe or a FIFO, and closes it if this throws. A pipe is used the way it was opened,
  /// whatever `ways` says.
  /// Throws: OSError: it is something else, or a pipe that cannot be opened anew.
  explicit Connection(OwnedFd fd, Ways ways = Ways::Both);
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  /// Closes it.
  ~Connection();

  // ---- bytes

  /// Sends one message. Throws: TimeoutError; OSError; InvalidStateError: this end only receives.
  void send_bytes(std::string_view message, Deadline deadline = {});
  void send_bytes(std::span<const std::byte> message, Deadline deadline = {});

  /// The next message. Throws: EndOfStream; ProtocolError: the stream ended inside it, or it is longer than
  /// `most_bytes`, and this end cannot receive any more; TimeoutError; OSError; InvalidStateError: this end only sends.
  [[nodiscard]] std::string recv_bytes(Deadline deadline = {}, std::uint64_t most_bytes = kMostBytes);
  /// The next message, into the caller's memory. Returns its length. Throws: as recv_bytes(); BufferTooShort, which has
  /// the message.
  [[nodiscard]] std::size_t recv_bytes_into(std::span<std::byte> buffer, Deadline deadline = {});

  // ---- values

  /// Sends a value of any Sendable type (see <weft/process/sendable.hpp>) as one message; descriptors in it go along
  /// (over UNIX sockets, at most 253). Throws: as send_bytes(); ProtocolError: too many descriptors, or not a UNIX
  /// socket; what sending T throws.
  template <class T>
  void send(const T& value, Deadline deadline = {}) {
    std::byte room[kRoom];
    Outgoing out{room};
    out(value);
    send_parcel(out, deadline);
  }
  /// The next message as a value: of the type that was sent. Throws: as recv_bytes(); ProtocolError: it cannot be a T. That it is another type of
  /// the same bytes is not seen: a Queue<T> carries one type only.
  template <class T>
  [[nodiscard]] T recv(Deadline deadline = {}, std::uint64_t most_bytes = kMostBytes) {
    Parcel parcel = recv_parcel(deadline, most_bytes);
    Incoming in{std::as_bytes(std::span{parcel.message}), std::move(parcel.descriptors)};
    T value = in.receive<T>();
    if (in.remaining() != 0) fail_left_over(in.remaining());
    return value;
  }

  /// Sends one descriptor as CPython's send_handle() does, beside the messages. Over UNIX sockets only. Throws: as
  /// send_bytes().
  void send_descriptor(int fd, Deadline deadline = {});
  /// Throws: as recv_bytes(); ProtocolError: something else came.
  [[nodiscard]] OwnedFd recv_descriptor(Deadline deadline = {});

  // ---- waiting without receiving

  /// Whether a receive would find something, be it the end; waits for it until the deadline. (A message may still be
  /// incomplete.)
  /// Throws: OSError; InvalidStateError: this end only sends.
  [[nodiscard]] bool poll(Deadline deadline = Deadline::already());
  template <class Rep, class Period>
  [[nodiscard]] bool poll(std::chrono::duration<Rep, Period> timeout) {
    return poll(Deadline::after(timeout));
  }
  /// Cases of select(): ready when poll() would say so; when a send would not wait.
  template <class F>
  [[nodiscard]] auto on_readable(F callable) const {
    return weft::detail::SelectCase<detail::ConnectionWay, F>{std::move(callable), *this,
                                                              detail::ConnectionWay::Wanted::Readable};
  }
  template <class F>
  [[nodiscard]] auto on_writable(F callable) const {
    return weft::detail::SelectCase<detail::ConnectionWay, F>{std::move(callable), *this,
                                                              detail::ConnectionWay::Wanted::Writable};
  }

  // ---- the end

  /// Closes this end; calls that wait on it fail with EBADF. Closing twice is fine.
  void close() noexcept;
  [[nodiscard]] bool closed() const noexcept;
  /// The descriptor, still owned by the connection; -1 when closed.
  [[nodiscard]] int fileno() const noexcept;
  /// Which ways it is for; neither once closed.
  [[nodiscard]] bool readable() const noexcept;
  [[nodiscard]] bool writable() const noexcept;

  /// For messages and logs: the peer's address, or a description; never fails.
  [[nodiscard]] std::string name() const;

 private:
  friend class detail::ConnectionWay;
  friend struct Transfer<Connection>;

  static constexpr std::size_t kRoom = 512;
  struct Parcel {
    std::string message;
    std::vector<OwnedFd> descriptors;
  };

  [[nodiscard]] detail::Link& link(const char* operation) const;
  void send_parcel(const Outgoing& out, Deadline deadline);
  [[nodiscard]] Parcel recv_parcel(Deadline deadline, std::uint64_t most_bytes);
  [[noreturn]] void fail_left_over(std::size_t bytes) const;

  std::unique_ptr<detail::Link> link_;
};

/// A connection goes to another process with its descriptor; this process's handle stays open. The end is then shared:
/// close one of them.
/// Throws: InvalidStateError: a message has been received in part.
template <>
struct Transfer<Connection> {
  static void send(Outgoing& out, const Connection& connection);
  [[nodiscard]] static Connection receive(Incoming& in);
};

/// Two connected ends, UNIX sockets. With `duplex` each sends and receives; else the first only receives and the second
/// only sends.
/// A forked child has both: each process closes the end it does not use, or else nobody sees the stream end.
/// Semantics: after Python multiprocessing.Pipe; differs: one way is a socket pair as well, so that descriptors can go
/// along.
/// Throws: OSError.
[[nodiscard]] std::pair<Connection, Connection> pipe(bool duplex = true);

}  // namespace weft::process
