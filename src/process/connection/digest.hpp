#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace weft::process::detail {

/// The digests that CPython's handshake knows (multiprocessing.connection). Here so that the core links no
/// cryptographic library; they are made for messages of a few hundred bytes, not for files.
enum class Digest : unsigned char { Md5, Sha256, Sha384, Sha3_256, Sha3_384 };

/// As the handshake spells it: "md5", "sha256", "sha384", "sha3_256", "sha3_384".
[[nodiscard]] std::string_view name_of(Digest digest) noexcept;
[[nodiscard]] std::optional<Digest> digest_named(std::string_view name) noexcept;

/// The digest of the message, as raw bytes.
[[nodiscard]] std::string digest(Digest digest, std::string_view message);
[[nodiscard]] std::size_t size_of(Digest digest) noexcept;

/// The message authentication code of RFC 2104.
[[nodiscard]] std::string hmac(Digest digest, std::string_view key, std::string_view message);

/// Whether they are the same; how long it takes depends on their sizes only.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

// The families, each in a source of its own.
[[nodiscard]] std::string md5(std::string_view message);
[[nodiscard]] std::string sha256(std::string_view message);
[[nodiscard]] std::string sha384(std::string_view message);
/// SHA-3 with so many bytes of output.
[[nodiscard]] std::string sha3(std::string_view message, std::size_t output_bytes);

/// The message as MD5 and SHA-2 take it: then a one bit, zeros up to a whole block, and its length in bits in the last
/// `length_bytes` of that, little-endian or big-endian.
[[nodiscard]] std::string padded(std::string_view message, std::size_t block_bytes, std::size_t length_bytes,
                                 bool big_endian);

}  // namespace weft::process::detail
