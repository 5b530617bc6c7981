#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proto/chunk.hpp"
#include "proto/messages.hpp"
#include "weft/net/frames.hpp"
#include "weft/net/socket.hpp"
#include "weft/sync/lock.hpp"
#include "xfer/pace.hpp"

namespace weft::app {

/// The peer moved too few bytes for too long.
class TooSlow : public TimeoutError {
 public:
  using TimeoutError::TimeoutError;
};

/// One connection: control frames and chunks in both directions.
///
/// Sending is buffered: queue() collects frames, flush() sends them, so that many small answers cost one call.
/// Thread-safety: one receiving and one sending context at a time; try_farewell() and the socket's shutdown() and
///                close() from anywhere.
/// Blocking:      receiving and flushing park the fiber. Errors: those of Socket and FrameStream; TooSlow.
class Wire {
 public:
  Wire(Socket socket, std::uint64_t max_frame_bytes, const Pace::Limit& pace);

  [[nodiscard]] Socket& socket() noexcept { return socket_; }

  // ---- receiving

  /// Whether something can be received (the end of the stream counts). False when the deadline passed first.
  [[nodiscard]] bool wait_input(Deadline deadline);
  /// Nothing at the end of the stream.
  [[nodiscard]] std::optional<std::string> recv_frame(Deadline deadline);
  /// The length of a body of the base protocol.
  [[nodiscard]] std::uint64_t recv_plain_length(Deadline deadline);
  [[nodiscard]] ChunkHeader recv_chunk_header();
  void recv_exactly(std::span<std::byte> bytes);

  // ---- sending

  template <class Message>
  void queue(const Message& message) {
    queue_frame(to_json(message));
  }
  void queue_frame(std::string_view frame);
  void queue_bytes(std::string_view bytes);
  void queue_chunk(std::string_view bytes, std::uint64_t sum);
  [[nodiscard]] std::size_t queued_bytes() const noexcept { return outbox_.size(); }
  void flush();
  /// What is queued, then the chunk, from the caller's memory.
  void send_chunk(std::span<const std::byte> bytes, std::uint64_t sum);
  /// What is queued, then the same from a file, by sendfile(2), without checksum. The file must be long enough: when
  /// it is not, the stream is torn and this throws Error.
  void send_file_chunk(int file, std::uint64_t offset, std::size_t size);
  void send_file(int file, std::uint64_t offset, std::size_t size);

  /// From another context: a last message, if the connection can take it at once and nobody is sending.
  void try_farewell(const Bye& bye) noexcept;

 private:
  void send_paced(std::string_view bytes, int flags = 0);
  [[noreturn]] void fail_too_slow(const char* verb) const;

  // Fixed after construction.
  Socket socket_;
  FrameStream frames_;
  // The receiver's.
  Pace in_pace_;
  // The sender's, which holds sending_ around each run of bytes that must not be torn.
  Pace out_pace_;
  std::string outbox_;
  Lock sending_;
};

}  // namespace weft::app
