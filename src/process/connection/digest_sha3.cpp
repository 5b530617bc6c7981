// SHA-3, FIPS 202.
#include <array>
#include <bit>
#include <cstdint>

#include "process/connection/digest.hpp"

namespace weft::process::detail {

namespace {

using State = std::array<std::uint64_t, 25>;  // lane (x, y) at x + 5 y

constexpr std::array<std::uint64_t, 24> kRoundConstants{
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

void permute(State& a) {
  for (const std::uint64_t constant : kRoundConstants) {
    // Theta: every bit takes the parity of two columns.
    std::uint64_t parity[5];
    for (int x = 0; x < 5; ++x) parity[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
    for (int i = 0; i < 25; ++i) a[i] ^= parity[(i + 4) % 5] ^ std::rotl(parity[(i + 1) % 5], 1);
    // Rho and pi: along one path through 24 lanes, each is turned by a triangular number and takes the next one's place.
    std::uint64_t carried = a[1];
    for (int step = 1, x = 1, y = 0; step <= 24; ++step) {
      const int next_y = (2 * x + 3 * y) % 5;
      x = y;
      y = next_y;
      const std::uint64_t turned = std::rotl(carried, step * (step + 1) / 2 % 64);
      carried = a[x + 5 * y];
      a[x + 5 * y] = turned;
    }
    // Chi: the only step that is not linear.
    for (int y = 0; y < 25; y += 5) {
      const std::uint64_t row[5] = {a[y], a[y + 1], a[y + 2], a[y + 3], a[y + 4]};
      for (int x = 0; x < 5; ++x) a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
    }
    a[0] ^= constant;  // iota
  }
}

void absorb(State& state, std::size_t at, unsigned char byte) {
  state[at / 8] ^= std::uint64_t{byte} << (8 * (at % 8));
}

}  // namespace

std::string sha3(std::string_view message, std::size_t output_bytes) {
  const std::size_t rate = 200 - 2 * output_bytes;
  State state{};
  std::size_t at = 0;
  for (const char byte : message) {
    absorb(state, at, static_cast<unsigned char>(byte));
    if (++at == rate) {
      permute(state);
      at = 0;
    }
  }
  absorb(state, at, 0x06);  // SHA-3's own two bits, and the first of the padding
  absorb(state, rate - 1, 0x80);
  permute(state);
  std::string result;
  for (std::size_t i = 0; i < output_bytes; ++i)
    result.push_back(static_cast<char>(state[i / 8] >> (8 * (i % 8))));
  return result;
}

}  // namespace weft::process::detail
