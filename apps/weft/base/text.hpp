#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Text that people read: escaping what others sent, and sizes, rates and times with units.
namespace weft::app {

/// Whether `bytes` are UTF-8 without overlong forms, surrogates or values above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view bytes) noexcept;

/// `text` made safe for a terminal and for one log line: control characters (C0, DEL, C1), the invisible characters that
/// reorder text, and bytes that are no UTF-8 become \n, \t, \xNN or \uNNNN; a backslash becomes two.
[[nodiscard]] std::string escaped(std::string_view text);

/// "0 B", "999 B", "4.0 KiB", "1.5 GiB".
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);
/// "1.5 GiB/s".
[[nodiscard]] std::string rate_text(double bytes_per_second);
/// "0:07", "12:34", "3:00:01".
[[nodiscard]] std::string clock_text(std::chrono::nanoseconds duration);

/// "4096", "64K", "1.5M", "2GiB" to bytes; nothing for anything else.
[[nodiscard]] std::optional<std::uint64_t> parse_bytes(std::string_view text);
/// "10", "10s", "500ms", "5m", "2h", "7d"; a bare number is seconds.
[[nodiscard]] std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

}  // namespace weft::app
