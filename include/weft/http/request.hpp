#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/unique_function.hpp>
#include <weft/http/errors.hpp>
#include <weft/http/headers.hpp>
#include <weft/http/response.hpp>

namespace weft::http {

struct RequestOptions {
  Headers headers = {};
  std::string body = {};
  /// How long all of it may take together: name, connection, redirects, answer, and on_body. Nothing: as long as it takes.
  std::optional<Duration> timeout = {};
  /// The same as a point in time; the earlier of the two counts.
  Deadline deadline = {};
  /// Whether a redirect is followed or is the answer.
  bool allow_redirects = true;
  unsigned max_redirects = 30;
  /// A longer body, as it is after decompression, ends the request with ResponseTooLarge. Nothing: 256 MiB; with on_body, no limit.
  std::optional<std::uint64_t> max_size_bytes = {};
  /// Is given the body piece by piece, instead of `content`, with what is known by then: url, status_code, reason and headers. It is
  /// called by the context that made the request, and may block or throw; meanwhile no more than about half a megabyte is
  /// received. Bodies of redirects that are followed are passed over.
  UniqueFunction<void(const Response& head, std::string_view bytes)> on_body = {};
  /// "http://host:port", or "" for none. Nothing: what the environment says in http_proxy, https_proxy, all_proxy and no_proxy.
  std::optional<std::string> proxy = {};
  /// For https: a file of certificates (PEM) to trust in place of the system's. Nothing: those of the system.
  std::optional<std::string> ca_file = {};
};

/// Asks an HTTP server and returns its answer, whatever its status. Connections are kept and used again, by all callers.
///
/// Semantics:     after the functions of Python requests; differs: a timeout covers everything, nothing is kept of cookies
///                or .netrc, and HTTP/1.1 is spoken. "user:password@" in the URL is sent as Basic authorization.
/// Thread-safety: from anywhere.
/// Blocking:      parks the fiber, or the thread when called outside one; a cancellation point. What is cancelled or out of time
///                closes its connection. In a child of fork() requests start afresh; one in whose on_body the fork
///                happened ends there with a ConnectionError.
/// Throws:        InvalidURL, InvalidHeader; ConnectionError; TooManyRedirects, ResponseTooLarge; TimeoutError when the deadline
///                passed; what on_body throws; OSError, on first use, when the system gives no thread or descriptor.
/// Cost:          one thread for the whole process, made on first use, carries all requests; each costs two thread switches beside
///                what the network takes.
/// Example:       examples/concurrent_fetch.cpp
[[nodiscard]] Response request(std::string_view method, std::string_view url, RequestOptions options = {});

[[nodiscard]] inline Response get(std::string_view url, RequestOptions options = {}) {
  return request("GET", url, std::move(options));
}
/// As with requests, this one follows no redirects; request("HEAD", url) does.
[[nodiscard]] inline Response head(std::string_view url, RequestOptions options = {}) {
  options.allow_redirects = false;
  return request("HEAD", url, std::move(options));
}
[[nodiscard]] inline Response post(std::string_view url, std::string body, RequestOptions options = {}) {
  options.body = std::move(body);
  return request("POST", url, std::move(options));
}
[[nodiscard]] inline Response put(std::string_view url, std::string body, RequestOptions options = {}) {
  options.body = std::move(body);
  return request("PUT", url, std::move(options));
}
[[nodiscard]] inline Response patch(std::string_view url, std::string body, RequestOptions options = {}) {
  options.body = std::move(body);
  return request("PATCH", url, std::move(options));
}
/// requests.delete: that word is taken in C++.
[[nodiscard]] inline Response delete_(std::string_view url, RequestOptions options = {}) {
  return request("DELETE", url, std::move(options));
}

}  // namespace weft::http
