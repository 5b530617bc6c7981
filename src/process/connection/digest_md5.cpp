// MD5, RFC 1321. Broken as a digest of files; as the base of an authentication code, which is what old CPython uses it
// for, still unforgeable in practice, and refused by ListenerOptions::require_sha2.
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "process/connection/digest.hpp"

namespace weft::process::detail {

namespace {

// The integer parts of 2^32 times |sin(i + 1)|.
std::array<std::uint32_t, 64> sines() {
  std::array<std::uint32_t, 64> table;
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<std::uint32_t>(
        std::floor(std::fabs(std::sin(static_cast<double>(i + 1))) * 4294967296.0));
  }
  return table;
}

constexpr int kTurns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

using State = std::array<std::uint32_t, 4>;

void mix(State& state, const char* block) {
  static const std::array<std::uint32_t, 64> kSines = sines();
  std::uint32_t words[16];
  for (int i = 0; i < 16; ++i) {
    unsigned char bytes[4];
    std::memcpy(bytes, block + 4 * i, 4);
    words[i] = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
  }
  auto [a, b, c, d] = state;
  for (std::uint32_t i = 0; i < 64; ++i) {
    std::uint32_t f;
    std::uint32_t word;
    switch (i / 16) {
      case 0:
        f = (b & c) | (~b & d);
        word = i;
        break;
      case 1:
        f = (d & b) | (~d & c);
        word = 5 * i + 1;
        break;
      case 2:
        f = b ^ c ^ d;
        word = 3 * i + 5;
        break;
      default:
        f = c ^ (b | ~d);
        word = 7 * i;
        break;
    }
    f += a + kSines[i] + words[word % 16];
    a = d;
    d = c;
    c = b;
    b += std::rotl(f, kTurns[i / 16][i % 4]);
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
}

}  // namespace

std::string md5(std::string_view message) {
  const std::string whole = padded(message, 64, 8, /*big_endian=*/false);
  State state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  for (std::size_t at = 0; at < whole.size(); at += 64) mix(state, whole.data() + at);
  std::string result;
  for (const std::uint32_t word : state) {
    for (int i = 0; i < 4; ++i) result.push_back(static_cast<char>(word >> (8 * i)));
  }
  return result;
}

}  // namespace weft::process::detail
