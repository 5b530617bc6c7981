#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weft::app {

/// HOST:PORT[/NAME] as users write it: "localhost:8001", "[::1]:8001/backup/today".
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
  std::string name;  // what follows the first slash, without slashes at its ends; may be empty

  /// "HOST:PORT", with brackets where the host has colons.
  [[nodiscard]] std::string server() const;
  /// What parse_endpoint() reads.
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// Nothing when `text` has no HOST:PORT at its beginning. Whether the name is allowed is not judged here.
[[nodiscard]] std::optional<Endpoint> parse_endpoint(std::string_view text);

}  // namespace weft::app
