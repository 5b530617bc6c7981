#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <weft/base/error.hpp>

namespace weft {

enum class ByteOrder : std::uint8_t { Little, Big };

/// How an integer is laid out on the wire.
struct IntegerFormat {
  unsigned width = 4;  // bytes: 1, 2, 4 or 8
  ByteOrder byte_order = ByteOrder::Little;
  bool is_signed = true;

  friend bool operator==(const IntegerFormat&, const IntegerFormat&) = default;
};

/// A value that does not fit its format, bytes that do not fit the value, or a format that does not exist.
class PackError : public Error {
 public:
  using Error::Error;
};

namespace detail {
// An integer of any type: `negative` says that `bits` is the two's complement of a value below zero.
struct WideInteger {
  std::uint64_t bits;
  bool negative;
};
void pack_integer(WideInteger value, const IntegerFormat& format, unsigned char* out);
[[nodiscard]] WideInteger unpack_integer(const unsigned char* bytes, std::size_t size, const IntegerFormat& format);
[[noreturn]] void throw_unpacked_out_of_range(WideInteger value, std::size_t target_bytes, bool target_signed);
}  // namespace detail

/// The bytes of `value` in `format`: pack(199) is C7 00 00 00.
///
/// Semantics: after Python struct.pack for a single integer.
/// Throws:    PackError when the value does not fit, or the width is none of 1, 2, 4, 8.
template <std::integral T>
[[nodiscard]] std::string pack(T value, const IntegerFormat& format = {}) {
  unsigned char bytes[8];
  bool negative = false;
  if constexpr (std::is_signed_v<T>) negative = value < 0;
  detail::pack_integer({static_cast<std::uint64_t>(value), negative}, format, bytes);
  return {reinterpret_cast<const char*>(bytes), format.width};
}

/// The integer that `bytes` hold. Throws: PackError when they are not `format.width` long, or T cannot hold the value.
template <std::integral T = std::int64_t>
[[nodiscard]] T unpack(std::string_view bytes, const IntegerFormat& format = {}) {
  const detail::WideInteger wide =
      detail::unpack_integer(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), format);
  const T value = static_cast<T>(wide.bits);
  bool negative = false;
  if constexpr (std::is_signed_v<T>) negative = value < 0;
  if (static_cast<std::uint64_t>(value) != wide.bits || negative != wide.negative) {
    detail::throw_unpacked_out_of_range(wide, sizeof(T), std::is_signed_v<T>);
  }
  return value;
}

}  // namespace weft
