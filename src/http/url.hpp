#pragma once

#include <curl/urlapi.h>

#include <memory>
#include <string>

namespace weft::http {

/// A URL of http or https, read by libcurl's own reader, so that what was checked here is what is fetched.
class Url {
 public:
  /// Throws: InvalidURL, which says what is wrong with it.
  explicit Url(const std::string& text);

  /// Where a link on the page at this URL leads. Throws: InvalidURL.
  [[nodiscard]] Url joined(const std::string& link) const;

  [[nodiscard]] std::string text() const;
  /// For people and logs: without user and password.
  [[nodiscard]] std::string shown() const;
  [[nodiscard]] bool has_same_origin(const Url& other) const;

 private:
  struct Free {
    void operator()(CURLU* parts) const noexcept { ::curl_url_cleanup(parts); }
  };
  using Parts = std::unique_ptr<CURLU, Free>;

  explicit Url(Parts parts) : parts_{std::move(parts)} {}
  [[nodiscard]] static Parts copy_of(const Parts& parts);
  static void read(const Parts& parts, const std::string& text);
  [[nodiscard]] static std::string part(const Parts& parts, CURLUPart which, unsigned flags = 0);

  Parts parts_;
};

}  // namespace weft::http
