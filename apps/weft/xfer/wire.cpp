#include "xfer/wire.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <mutex>

#include "base/text.hpp"
#include "weft/io/blocking.hpp"
#include "weft/net/pack.hpp"

namespace weft::app {

namespace {

constexpr std::size_t kReadAheadBytes = 64 * 1024;  // some fifteen small files a call

FrameOptions frame_options(std::uint64_t max_frame_bytes) {
  FrameOptions options;
  options.max_size_bytes = max_frame_bytes;
  options.buffer_bytes = kReadAheadBytes;
  return options;
}

std::string_view as_text(const ChunkHeaderBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Wire::Wire(Socket socket, std::uint64_t max_frame_bytes, const Pace::Limit& pace)
    : socket_(std::move(socket)),
      frames_(socket_, frame_options(max_frame_bytes)),
      in_pace_(pace),
      out_pace_(pace) {}

bool Wire::wait_input(Deadline deadline) {
  return frames_.buffered() > 0 || socket_.wait_readable(deadline);
}

std::optional<std::string> Wire::recv_frame(Deadline deadline) {
  return frames_.recv(deadline);
}

std::uint64_t Wire::recv_plain_length(Deadline deadline) {
  const std::optional<std::uint64_t> length = frames_.recv_length(kMaxPlainBytes, deadline);
  if (!length) throw EndOfStream("the connection ended before the length of a file", 0);
  return *length;
}

ChunkHeader Wire::recv_chunk_header() {
  ChunkHeaderBytes bytes;
  recv_exactly(std::as_writable_bytes(std::span(bytes)));
  return unpack_chunk_header(bytes);
}

void Wire::recv_exactly(std::span<std::byte> bytes) {
  const std::size_t wanted = bytes.size();
  in_pace_.enter();
  while (!bytes.empty()) {
    try {
      const std::size_t n = frames_.recv_raw_into(bytes, in_pace_.deadline());
      if (n == 0) throw EndOfStream("the connection ended inside a file", wanted - bytes.size());
      in_pace_.moved(n);
      bytes = bytes.subspan(n);
    } catch (const TimeoutError&) {
      if (!in_pace_.is_fast_enough()) fail_too_slow("sent");
    }
  }
  if (!in_pace_.is_fast_enough()) fail_too_slow("sent");
  in_pace_.leave();
}

void Wire::queue_frame(std::string_view frame) {
  outbox_ += pack(static_cast<std::int32_t>(frame.size()));
  outbox_ += frame;
}

void Wire::queue_bytes(std::string_view bytes) {
  outbox_ += bytes;
}

void Wire::queue_chunk(std::string_view bytes, std::uint64_t sum) {
  outbox_ += as_text(pack_chunk_header({static_cast<std::int32_t>(bytes.size()), sum}));
  outbox_ += bytes;
}

void Wire::flush() {
  if (outbox_.empty()) return;
  const std::lock_guard sending(sending_);
  send_paced(outbox_);
  outbox_.clear();
}

void Wire::send_chunk(std::span<const std::byte> bytes, std::uint64_t sum) {
  outbox_ += as_text(pack_chunk_header({static_cast<std::int32_t>(bytes.size()), sum}));
  const std::lock_guard sending(sending_);
  send_paced(outbox_, MSG_MORE);
  outbox_.clear();
  send_paced({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void Wire::send_file_chunk(int file, std::uint64_t offset, std::size_t size) {
  outbox_ += as_text(pack_chunk_header({static_cast<std::int32_t>(size), 0}));
  send_file(file, offset, size);
}

void Wire::send_file(int file, std::uint64_t offset, std::size_t size) {
  const std::lock_guard sending(sending_);
  send_paced(outbox_, MSG_MORE);
  outbox_.clear();
  // sendfile reads what is not in the page cache on the calling worker; so it is brought there first.
  if (size > kReadAheadBytes) weft::blocking([&] { ::readahead(file, static_cast<off_t>(offset), size); });
  out_pace_.enter();
  while (size > 0) {
    std::size_t moved = 0;
    try {
      moved = socket_.sendfile(file, static_cast<off_t>(offset), size, out_pace_.deadline());
      if (moved < size) throw Error("the file became shorter while it was sent");
    } catch (const SendTimeout& timeout) {
      moved = timeout.sent();
    }
    out_pace_.moved(moved);
    offset += moved;
    size -= moved;
    if (!out_pace_.is_fast_enough()) fail_too_slow("took");
  }
  out_pace_.leave();
}

void Wire::send_paced(std::string_view bytes, int flags) {
  out_pace_.enter();
  while (!bytes.empty()) {
    try {
      const std::size_t n = socket_.send(bytes, out_pace_.deadline(), flags);
      out_pace_.moved(n);
      bytes.remove_prefix(n);
    } catch (const TimeoutError&) {
      if (!out_pace_.is_fast_enough()) fail_too_slow("took");
    }
  }
  if (!out_pace_.is_fast_enough()) fail_too_slow("took");
  out_pace_.leave();
}

void Wire::try_farewell(const Bye& bye) noexcept {
  try {
    std::unique_lock sending(sending_, std::try_to_lock);
    if (!sending.owns_lock()) return;
    const std::string frame = to_json(bye);
    (void)socket_.try_send(pack(static_cast<std::int32_t>(frame.size())) + frame);
  } catch (const std::exception&) {
    // The peer is gone, and cannot be told anything any more.
  }
}

void Wire::fail_too_slow(const char* verb) const {
  throw TooSlow(fmt::format(
      "the other end {} less than {} in {}", verb,
      bytes_text(std::max<std::uint64_t>(
          1, in_pace_.limit().bytes_per_second *
                 static_cast<std::uint64_t>(
                     std::chrono::duration_cast<std::chrono::seconds>(in_pace_.limit().window).count()))),
      clock_text(in_pace_.limit().window)));
}

}  // namespace weft::app
