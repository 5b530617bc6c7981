#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <weft/base/deadline.hpp>
#include <weft/net/pack.hpp>
#include <weft/net/socket.hpp>

namespace weft {

struct FrameOptions {
  /// Layout of the length in front of every message.
  unsigned width = 4;  // bytes: 1, 2, 4 or 8
  ByteOrder byte_order = ByteOrder::Little;
  bool is_signed = true;
  /// Longer messages are refused, in both directions.
  std::uint64_t max_size_bytes = 64ull << 20;
  /// Read-ahead: short messages that arrive together are taken with one system call. Allocated at the first receive.
  std::size_t buffer_bytes = 4096;

  [[nodiscard]] IntegerFormat format() const noexcept { return {width, byte_order, is_signed}; }
};

/// Messages over a stream: each goes out as its length and its bytes, and comes in whole, however the stream cut them.
///
/// Semantics:     a length that is negative or above max_size_bytes throws ProtocolError before anything is allocated;
///                the stream is then useless, as nobody knows where the next message begins. Memory for a message
///                grows with the bytes that came, not with the length that was announced.
/// Thread-safety: one receiving and one sending context at a time; the two do not disturb each other.
/// Time limits:   a receive that ran out of time may be repeated: what had come is kept, and the message continues.
///                A send that ran out of time left a torn message: give the connection up (SendTimeout).
/// Lifetime:      the Socket must outlive the FrameStream.
/// Example:       examples/sticky_packets.cpp
class FrameStream {
 public:
  /// Throws: PackError when the width is none of 1, 2, 4, 8.
  explicit FrameStream(Socket& socket, const FrameOptions& options = {});

  /// Sends one message. Throws: ProtocolError when it is too long, and nothing was sent; SendTimeout; OSError.
  void send(std::string_view message, Deadline deadline = {});
  void send(std::span<const std::byte> message, Deadline deadline = {});

  /// The next message; nothing when the stream ended between two messages.
  /// Throws: EndOfStream when the stream ended inside one; ProtocolError; TimeoutError; OSError.
  [[nodiscard]] std::optional<std::string> recv(Deadline deadline = {});

  /// Only the length of the next message, for callers that take the body themselves with recv_raw_into(). Nothing
  /// when the stream ended before it. A limit given here counts in the place of the options' max_size_bytes.
  [[nodiscard]] std::optional<std::uint64_t> recv_length(Deadline deadline = {});
  [[nodiscard]] std::optional<std::uint64_t> recv_length(std::uint64_t max_size_bytes, Deadline deadline = {});

  /// Bytes of the stream as they are: what was read ahead first, then straight from the socket.
  /// Returns: how many, at least one; 0 at the end of the stream (or for an empty span).
  /// Throws:  InvalidStateError in the middle of a message that recv() was interrupted in; TimeoutError; OSError.
  [[nodiscard]] std::size_t recv_raw_into(std::span<std::byte> buffer, Deadline deadline = {});
  /// Fills all of `buffer`. Throws: EndOfStream, RecvTimeout, OSError.
  void recv_raw_exactly(std::span<std::byte> buffer, Deadline deadline = {});
  /// Bytes read ahead and not yet taken: to be drained by recv_raw_into() before the socket is used directly.
  [[nodiscard]] std::size_t buffered() const noexcept { return end_ - begin_; }

  [[nodiscard]] Socket& socket() noexcept { return *socket_; }
  [[nodiscard]] const FrameOptions& options() const noexcept { return options_; }

 private:
  class Patience;
  bool fill(std::size_t wanted, Patience& patience);
  std::optional<std::uint64_t> take_length(std::uint64_t max_size_bytes, Patience& patience);
  void receive_body(Patience& patience);
  std::size_t take_buffered(char* out, std::size_t size) noexcept;
  [[noreturn]] void throw_cut(std::uint64_t received, std::uint64_t wanted) const;

  // Fixed after construction.
  Socket* socket_;
  FrameOptions options_;
  // The receiver's: bytes [begin_, end_) of buffer_ are read ahead.
  std::unique_ptr<char[]> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  // The receiver's: the message in progress, kept when a time limit interrupts it. `body_` is as long as memory was
  // made for it; `body_bytes_` of it have come.
  std::optional<std::uint64_t> length_;
  std::string body_;
  std::size_t body_bytes_ = 0;
};

}  // namespace weft
