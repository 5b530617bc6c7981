#include "process/connection/digest.hpp"

#include <array>
#include <cstdint>

namespace weft::process::detail {

namespace {

struct Properties {
  std::string_view name;
  std::size_t size;
  std::size_t block;
};

constexpr std::array<Properties, 5> kProperties{
    {{"md5", 16, 64}, {"sha256", 32, 64}, {"sha384", 48, 128}, {"sha3_256", 32, 136}, {"sha3_384", 48, 104}}};

const Properties& properties(Digest digest) noexcept {
  return kProperties[static_cast<std::size_t>(digest)];
}

std::string masked(std::string_view key, std::size_t block, unsigned char mask) {
  std::string pad(block, static_cast<char>(mask));
  for (std::size_t i = 0; i < key.size(); ++i)
    pad[i] = static_cast<char>(static_cast<unsigned char>(key[i]) ^ mask);
  return pad;
}

}  // namespace

std::string_view name_of(Digest digest) noexcept {
  return properties(digest).name;
}

std::size_t size_of(Digest digest) noexcept {
  return properties(digest).size;
}

std::optional<Digest> digest_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kProperties.size(); ++i) {
    if (kProperties[i].name == name) return static_cast<Digest>(i);
  }
  return std::nullopt;
}

std::string digest(Digest digest, std::string_view message) {
  switch (digest) {
    case Digest::Md5:
      return md5(message);
    case Digest::Sha256:
      return sha256(message);
    case Digest::Sha384:
      return sha384(message);
    default:
      return sha3(message, size_of(digest));
  }
}

std::string hmac(Digest kind, std::string_view key, std::string_view message) {
  const std::size_t block = properties(kind).block;
  const std::string short_key = key.size() > block ? digest(kind, key) : std::string{key};
  const std::string inner = digest(kind, masked(short_key, block, 0x36).append(message));
  return digest(kind, masked(short_key, block, 0x5c).append(inner));
}

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  // Volatile, so that the loop cannot end early.
  volatile unsigned char different = 0;
  for (std::size_t i = 0; i < a.size(); ++i) different = different | static_cast<unsigned char>(a[i] ^ b[i]);
  return different == 0;
}

std::string padded(std::string_view message, std::size_t block_bytes, std::size_t length_bytes,
                   bool big_endian) {
  std::string whole{message};
  whole.push_back(static_cast<char>(0x80));
  while (whole.size() % block_bytes != block_bytes - length_bytes) whole.push_back('\0');
  const std::uint64_t bits = std::uint64_t{message.size()} * 8;
  for (std::size_t i = 0; i < length_bytes; ++i) {
    const std::size_t place = big_endian ? length_bytes - 1 - i : i;  // significance of this byte
    whole.push_back(place < 8 ? static_cast<char>(bits >> (8 * place)) : '\0');
  }
  return whole;
}

}  // namespace weft::process::detail
