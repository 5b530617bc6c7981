#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

// The two checksums of the extended protocol: XXH3 finds a damaged chunk at once, SHA-256 vouches for the whole file.
namespace weft::app {

/// XXH3 with 64 bits, seed 0.
[[nodiscard]] std::uint64_t xxh3(std::span<const std::byte> bytes) noexcept;
[[nodiscard]] std::uint64_t xxh3(std::string_view bytes) noexcept;

/// SHA-256 of what was given to update(), in pieces.
///
/// Cost: about 1.7 GB/s on a processor with SHA instructions, so big files are hashed on helper threads.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view bytes);
  /// The digest of everything so far, as 64 lower-case hexadecimal digits; more may be added afterwards.
  [[nodiscard]] std::string hex() const;

  [[nodiscard]] static std::string hex_of(std::string_view bytes);

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const noexcept;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

/// Compares two secrets in a time that depends on neither: not on where they differ, not on their lengths.
[[nodiscard]] bool equal_secrets(std::string_view a, std::string_view b);

}  // namespace weft::app
