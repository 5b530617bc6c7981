#pragma once

#include <algorithm>
#include <string_view>

namespace weft::http {

// The letters of HTTP, whatever the locale.
[[nodiscard]] constexpr char upper(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

[[nodiscard]] inline bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return upper(x) == upper(y); });
}

/// A name of a header, or a method (RFC 9110, token).
[[nodiscard]] inline bool is_token(std::string_view text) noexcept {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~0123456789";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (upper(c) >= 'A' && upper(c) <= 'Z') || kOthers.find(c) != std::string_view::npos;
  });
}

/// A value of a header: in one line, or what follows would be headers of its own.
[[nodiscard]] inline bool is_header_value(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7F) || c == '\t';
  });
}

[[nodiscard]] inline std::string_view without_spaces_around(std::string_view text) noexcept {
  constexpr std::string_view kSpaces = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

}  // namespace weft::http
