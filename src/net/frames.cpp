#include <weft/net/frames.hpp>

#include <algorithm>
#include <array>
#include <cstring>

namespace weft {

namespace {

constexpr std::size_t kWidestLength = 8;
// Memory for a body: at first this much, then four times what has come. So a peer makes us hold at most four times what
// it sent, while copying on the way costs a third of the message at most.
constexpr std::size_t kFirstBodyBytes = 64 * 1024;
constexpr std::size_t kBodyGrowth = 4;

std::uint64_t largest(const IntegerFormat& format) {
  const unsigned value_bits = format.width * 8 - (format.is_signed ? 1 : 0);
  return value_bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << value_bits) - 1;
}

std::string over_limit(std::uint64_t length, std::uint64_t limit) {
  return "length " + std::to_string(length) + " is over the limit of " + std::to_string(limit) + " bytes";
}

}  // namespace

// The time limit of one receive, which may take several reads: they share one clock, and none is read while what was read
// ahead is enough.
class FrameStream::Patience {
 public:
  Patience(Socket& socket, Deadline given) : socket_{socket}, limit_{given}, resolved_{!given.is_never()} {}

  Deadline limit() {
    if (!resolved_) {
      resolved_ = true;
      const std::optional<Duration> timeout = socket_.timeout();
      if (timeout && *timeout > Duration::zero()) limit_ = Deadline::after(*timeout);
    }
    return limit_;
  }

 private:
  Socket& socket_;
  Deadline limit_;
  bool resolved_;
};

FrameStream::FrameStream(Socket& socket, const FrameOptions& options) : socket_{&socket}, options_{options} {
  (void)pack(0, options_.format());  // for the check of the width
  options_.buffer_bytes = std::max(options_.buffer_bytes, kWidestLength);
}

void FrameStream::send(std::string_view message, Deadline deadline) {
  const std::uint64_t limit = std::min(options_.max_size_bytes, largest(options_.format()));
  if (message.size() > limit) {
    throw ProtocolError{"frame to " + socket_->name() + ": " + over_limit(message.size(), limit)};
  }
  unsigned char length[kWidestLength];
  detail::pack_integer({message.size(), false}, options_.format(), length);
  const std::array parts{std::string_view{reinterpret_cast<const char*>(length), options_.width}, message};
  socket_->send_parts(parts, deadline);
}

void FrameStream::send(std::span<const std::byte> message, Deadline deadline) {
  send(std::string_view{reinterpret_cast<const char*>(message.data()), message.size()}, deadline);
}

std::optional<std::string> FrameStream::recv(Deadline deadline) {
  Patience patience{*socket_, deadline};
  if (!length_) {
    length_ = take_length(options_.max_size_bytes, patience);
    if (!length_) return std::nullopt;
    body_bytes_ = 0;
  }
  receive_body(patience);
  length_.reset();
  return std::exchange(body_, {});
}

std::optional<std::uint64_t> FrameStream::recv_length(std::uint64_t max_size_bytes, Deadline deadline) {
  if (length_) throw InvalidStateError{"frame: recv_length() within a message that recv() has begun"};
  Patience patience{*socket_, deadline};
  return take_length(max_size_bytes, patience);
}

std::optional<std::uint64_t> FrameStream::recv_length(Deadline deadline) {
  return recv_length(options_.max_size_bytes, deadline);
}

std::optional<std::uint64_t> FrameStream::take_length(std::uint64_t max_size_bytes, Patience& patience) {
  if (!fill(options_.width, patience)) return std::nullopt;
  const auto* bytes = reinterpret_cast<const unsigned char*>(buffer_.get() + begin_);
  const detail::WideInteger length = detail::unpack_integer(bytes, options_.width, options_.format());
  begin_ += options_.width;
  if (length.negative) {
    throw ProtocolError{"frame from " + socket_->name() + ": length " +
                        std::to_string(static_cast<std::int64_t>(length.bits)) + " is negative"};
  }
  if (length.bits > max_size_bytes) {
    throw ProtocolError{"frame from " + socket_->name() + ": " + over_limit(length.bits, max_size_bytes)};
  }
  return length.bits;
}

// Short bodies come through the buffer, together with what follows them; of long ones all but the last piece goes
// straight to where it stays.
void FrameStream::receive_body(Patience& patience) {
  while (body_bytes_ < *length_) {
    const std::uint64_t missing = *length_ - body_bytes_;
    if (body_bytes_ == body_.size()) {
      const std::size_t room = std::max(kFirstBodyBytes, kBodyGrowth * body_bytes_);
      body_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(*length_, room)));
    }
    char* const tail = body_.data() + body_bytes_;
    const std::size_t room = body_.size() - body_bytes_;
    if (buffered() == 0 && missing < options_.buffer_bytes && !fill(1, patience)) {
      throw_cut(body_bytes_, *length_);
    }
    if (buffered() != 0) {
      body_bytes_ += take_buffered(tail, room);
      continue;
    }
    const std::size_t received = socket_->recv_into(tail, room, patience.limit());
    if (received == 0) throw_cut(body_bytes_, *length_);
    body_bytes_ += received;
  }
}

std::size_t FrameStream::recv_raw_into(std::span<std::byte> out, Deadline deadline) {
  if (length_) throw InvalidStateError{"frame: recv_raw_into() within a message that recv() has begun"};
  if (buffered() != 0) return take_buffered(reinterpret_cast<char*>(out.data()), out.size());
  return socket_->recv_into(out, deadline);
}

void FrameStream::recv_raw_exactly(std::span<std::byte> out, Deadline deadline) {
  if (length_) throw InvalidStateError{"frame: recv_raw_exactly() within a message that recv() has begun"};
  const std::size_t ready = take_buffered(reinterpret_cast<char*>(out.data()), out.size());
  if (ready < out.size()) socket_->recv_exactly(out.subspan(ready), deadline);
}

// Reads ahead until at least `wanted` bytes are buffered. False: the stream ended cleanly before the first of them.
bool FrameStream::fill(std::size_t wanted, Patience& patience) {
  if (buffered() >= wanted) return true;
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<char[]>(options_.buffer_bytes);
  std::memmove(buffer_.get(), buffer_.get() + begin_, buffered());
  end_ -= begin_;
  begin_ = 0;
  while (end_ < wanted) {
    const std::size_t received =
        socket_->recv_into(buffer_.get() + end_, options_.buffer_bytes - end_, patience.limit());
    if (received == 0 && end_ == 0) return false;
    if (received == 0) throw_cut(end_, wanted);
    end_ += received;
  }
  return true;
}

std::size_t FrameStream::take_buffered(char* out, std::size_t size) noexcept {
  const std::size_t taken = std::min(size, buffered());
  if (taken > 0) std::memcpy(out, buffer_.get() + begin_, taken);
  begin_ += taken;
  return taken;
}

void FrameStream::throw_cut(std::uint64_t received, std::uint64_t wanted) const {
  throw EndOfStream{"frame from " + socket_->name() + ": end of stream after " + std::to_string(received) + " of " +
                        std::to_string(wanted) + " bytes",
                    static_cast<std::size_t>(received)};
}

}  // namespace weft
