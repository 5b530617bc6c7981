#pragma once

#include <array>
#include <cstdint>
#include <cstring>

// A chunk of a file on the wire: a header of 12 bytes, then the bytes.
//
//     0       4               12
//     | length | XXH3         | bytes ...      both little-endian; the length signed, as in frames
//
// The length -1 says that the sender gives the file up.
namespace weft::app {

inline constexpr std::size_t kChunkHeaderBytes = 12;
inline constexpr std::int32_t kAbortedChunk = -1;

struct ChunkHeader {
  std::int32_t length = 0;
  std::uint64_t xxh3 = 0;  // zero in bodies without checks
};

using ChunkHeaderBytes = std::array<unsigned char, kChunkHeaderBytes>;

[[nodiscard]] inline ChunkHeaderBytes pack_chunk_header(const ChunkHeader& header) noexcept {
  ChunkHeaderBytes bytes{};
  for (unsigned i = 0; i < 4; ++i)
    bytes[i] = static_cast<unsigned char>(static_cast<std::uint32_t>(header.length) >> (8 * i));
  for (unsigned i = 0; i < 8; ++i) bytes[4 + i] = static_cast<unsigned char>(header.xxh3 >> (8 * i));
  return bytes;
}

[[nodiscard]] inline ChunkHeader unpack_chunk_header(const ChunkHeaderBytes& bytes) noexcept {
  std::uint32_t length = 0;
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < 4; ++i) length |= static_cast<std::uint32_t>(bytes[i]) << (8 * i);
  for (unsigned i = 0; i < 8; ++i) sum |= static_cast<std::uint64_t>(bytes[4 + i]) << (8 * i);
  return {static_cast<std::int32_t>(length), sum};
}

}  // namespace weft::app
