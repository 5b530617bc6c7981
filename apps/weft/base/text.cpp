#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace weft::app {

namespace {

struct CodePoint {
  char32_t value;
  std::size_t size;  // bytes; 0: the bytes are no UTF-8
};

bool is_continuation(unsigned char byte) {
  return (byte & 0xC0) == 0x80;
}

// The table of the Unicode standard (3-7), as arithmetic: decode, then refuse what had a shorter form.
CodePoint decode(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
  if (size == 0 || first > 0xF4 || text.size() - at < size) return {first, 0};
  char32_t value = first & (0x7Fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if (!is_continuation(byte(i))) return {first, 0};
    value = (value << 6) | (byte(i) & 0x3Fu);
  }
  static constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < kSmallest[size] || surrogate || value > 0x10FFFF) return {first, 0};
  return {value, size};
}

// Directional overrides and isolates can make a line read as something else; line and paragraph separators break it.
bool reorders_text(char32_t c) {
  return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0x200E || c == 0x200F ||
         c == 0x2028 || c == 0x2029;
}

void append_escaped(std::string& out, CodePoint c) {
  switch (c.value) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\\':
      out += "\\\\";
      return;
    default:
      break;
  }
  if (c.value < 0x100) {
    out += fmt::format("\\x{:02x}", static_cast<unsigned>(c.value));
  } else {
    out += fmt::format("\\u{:04x}", static_cast<unsigned>(c.value));
  }
}

bool must_escape(CodePoint c) {
  return c.size == 0 || c.value < 0x20 || c.value == '\\' || (c.value >= 0x7F && c.value < 0xA0) ||
         reorders_text(c.value);
}

struct Unit {
  std::string_view suffix;
  double factor;
};

// A number with one of the suffixes; the empty suffix must be among them to be allowed.
template <std::size_t N>
std::optional<double> parse_with_unit(std::string_view text, const std::array<Unit, N>& units) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(number) || number < 0) return std::nullopt;
  const std::string_view suffix(stop, static_cast<std::size_t>(end - stop));
  const auto equal_ignoring_case = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
  for (const Unit& unit : units) {
    if (std::equal(suffix.begin(), suffix.end(), unit.suffix.begin(), unit.suffix.end(),
                   equal_ignoring_case)) {
      return number * unit.factor;
    }
  }
  return std::nullopt;
}

}  // namespace

bool is_utf8(std::string_view bytes) noexcept {
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint c = decode(bytes, at);
    if (c.size == 0) return false;
    at += c.size;
  }
  return true;
}

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = decode(text, at);
    const std::size_t size = std::max<std::size_t>(c.size, 1);
    if (must_escape(c)) {
      append_escaped(out, c);
    } else {
      out += text.substr(at, size);
    }
    at += size;
  }
  return out;
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  static constexpr std::array<std::string_view, 6> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string rate_text(double bytes_per_second) {
  return bytes_text(static_cast<std::uint64_t>(std::max(bytes_per_second, 0.0))) + "/s";
}

std::string clock_text(std::chrono::nanoseconds duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  if (seconds < 3600) return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  static constexpr double kKi = 1024;
  static constexpr std::array<Unit, 14> kUnits = {{{"", 1},
                                                   {"b", 1},
                                                   {"k", kKi},
                                                   {"kb", kKi},
                                                   {"kib", kKi},
                                                   {"m", kKi * kKi},
                                                   {"mb", kKi * kKi},
                                                   {"mib", kKi * kKi},
                                                   {"g", kKi * kKi * kKi},
                                                   {"gb", kKi * kKi * kKi},
                                                   {"gib", kKi * kKi * kKi},
                                                   {"t", kKi * kKi * kKi * kKi},
                                                   {"tb", kKi * kKi * kKi * kKi},
                                                   {"tib", kKi * kKi * kKi * kKi}}};
  const std::optional<double> bytes = parse_with_unit(text, kUnits);
  if (!bytes || *bytes > 9e18) return std::nullopt;
  return static_cast<std::uint64_t>(*bytes);
}

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  static constexpr std::array<Unit, 6> kUnits = {
      {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"m", 60}, {"h", 3600}, {"d", 86400}}};
  const std::optional<double> seconds = parse_with_unit(text, kUnits);
  if (!seconds || *seconds > 9e9) return std::nullopt;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(*seconds * 1e9));
}

}  // namespace weft::app
