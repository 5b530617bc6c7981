// The frame parser, fed through a socket pair as the network would, cut where the input says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "weft/base/error.hpp"
#include "weft/net/frames.hpp"
#include "weft/net/socket.hpp"

namespace {

constexpr std::size_t kMaxInput = 32 * 1024;  // fits into the buffer of a socket pair, so that nobody waits
constexpr std::uint64_t kMaxFrame = 4096;

void require(bool condition) {
  if (!condition) std::abort();
}

// Returns: the bytes taken, lengths included.
std::size_t read_frames(weft::FrameStream& frames, std::uint8_t raw_every) {
  std::size_t taken = 0;
  for (unsigned count = 1;; ++count) {
    const bool as_raw = raw_every != 0 && count % raw_every == 0;
    const auto length = as_raw ? frames.recv_length() : std::optional<std::uint64_t>();
    if (as_raw) {
      if (!length) return taken;
      require(*length <= kMaxFrame);
      std::byte body[kMaxFrame];
      frames.recv_raw_exactly({body, static_cast<std::size_t>(*length)});
      taken += 4 + *length;
    } else {
      const auto frame = frames.recv();
      if (!frame) return taken;
      require(frame->size() <= kMaxFrame);
      taken += 4 + frame->size();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > kMaxInput) return 0;
  weft::FrameOptions options;
  options.max_size_bytes = kMaxFrame;
  options.buffer_bytes = 1u + data[0];
  const std::uint8_t raw_every = data[1] % 8;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  auto [ours, theirs] = weft::Socket::socketpair();
  theirs.send_all(bytes);
  theirs.shutdown(weft::Socket::How::Write);
  weft::FrameStream frames(ours, options);
  try {
    // A clean end means that every byte was part of a frame.
    require(read_frames(frames, raw_every) == bytes.size());
  } catch (const weft::ProtocolError&) {
  } catch (const weft::EndOfStream&) {
  }
  return 0;
}
