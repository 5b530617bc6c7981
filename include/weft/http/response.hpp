#pragma once

#include <string>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/http/headers.hpp>

namespace weft::http {

/// What a server answered. A plain value.
///
/// Semantics: after requests.Response; differs: text() is the bytes as they came, which is right for UTF-8; elapsed is the
///            time of the whole call, from the look-up of the name to the last byte, redirects included.
struct Response {
  std::string url;     ///< Where it came from in the end, after redirects. Without user and password.
  int status_code = 0;
  std::string reason;  ///< What stood behind the number: "Not Found". May be empty.
  Headers headers;
  std::string content;  ///< The body, decompressed. Empty if it went to on_body.
  Duration elapsed{};

  [[nodiscard]] const std::string& text() const& noexcept { return content; }
  [[nodiscard]] std::string text() && { return std::move(content); }

  /// Whether the server says that it did what was asked.
  [[nodiscard]] bool ok() const noexcept { return status_code < 400; }
  /// Throws: HTTPStatusError when it says that it did not.
  void raise_for_status() const;
};

}  // namespace weft::http
