#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <weft/http/request.hpp>

namespace weft::http {

/// What several requests have in common. A plain value; connections are shared by everybody, with or without a Session.
///
/// Semantics:     after requests.Session; differs: no cookies, and a timeout that counts for each request.
/// Thread-safety: requests, from anywhere, while nobody changes the members.
/// Blocking, Throws: as request().
struct Session {
  Headers headers = {};  ///< Sent unless the request has one of that name.
  std::optional<Duration> timeout = {};  ///< This and below: for requests that say nothing of their own.
  std::optional<std::uint64_t> max_size_bytes = {};
  std::optional<std::string> proxy = {};
  std::optional<std::string> ca_file = {};

  [[nodiscard]] Response request(std::string_view method, std::string_view url, RequestOptions options = {}) const;

  [[nodiscard]] Response get(std::string_view url, RequestOptions options = {}) const {
    return request("GET", url, std::move(options));
  }
  [[nodiscard]] Response post(std::string_view url, std::string body, RequestOptions options = {}) const {
    options.body = std::move(body);
    return request("POST", url, std::move(options));
  }
};

}  // namespace weft::http
