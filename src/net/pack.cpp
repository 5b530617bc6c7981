#include <weft/net/pack.hpp>

namespace weft::detail {

namespace {

void check_width(unsigned width) {
  if (width != 1 && width != 2 && width != 4 && width != 8) {
    throw PackError{"integer format: width " + std::to_string(width) + " is none of 1, 2, 4, 8"};
  }
}

std::string to_text(WideInteger value) {
  return value.negative ? std::to_string(static_cast<std::int64_t>(value.bits)) : std::to_string(value.bits);
}

std::string range_name(std::size_t bytes, bool is_signed) {
  return std::to_string(bytes) + (bytes == 1 ? " byte, " : " bytes, ") + (is_signed ? "signed" : "unsigned");
}

bool fits(WideInteger value, const IntegerFormat& format) {
  const unsigned bits = format.width * 8;
  if (!format.is_signed) return !value.negative && (bits == 64 || value.bits >> bits == 0);
  const std::uint64_t magnitude = value.negative ? ~value.bits : value.bits;  // -128 needs as many bits as 127
  return magnitude >> (bits - 1) == 0;
}

// The position of byte `i`, counted from the least significant one.
std::size_t place(std::size_t i, const IntegerFormat& format) {
  return format.byte_order == ByteOrder::Little ? i : format.width - 1 - i;
}

}  // namespace

void pack_integer(WideInteger value, const IntegerFormat& format, unsigned char* out) {
  check_width(format.width);
  if (!fits(value, format)) {
    throw PackError{"pack " + to_text(value) + ": out of range for " + range_name(format.width, format.is_signed)};
  }
  for (std::size_t i = 0; i < format.width; ++i) out[place(i, format)] = static_cast<unsigned char>(value.bits >> (8 * i));
}

WideInteger unpack_integer(const unsigned char* bytes, std::size_t size, const IntegerFormat& format) {
  check_width(format.width);
  if (size != format.width) {
    throw PackError{"unpack: " + std::to_string(size) + " bytes given where " + std::to_string(format.width) + " are needed"};
  }
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < size; ++i) bits |= std::uint64_t{bytes[place(i, format)]} << (8 * i);
  const bool negative = format.is_signed && (bits >> (size * 8 - 1)) != 0;
  if (negative && size < 8) bits |= ~std::uint64_t{0} << (size * 8);
  return {bits, negative};
}

void throw_unpacked_out_of_range(WideInteger value, std::size_t target_bytes, bool target_signed) {
  throw PackError{"unpack " + to_text(value) + ": out of range for " + range_name(target_bytes, target_signed)};
}

}  // namespace weft::detail
