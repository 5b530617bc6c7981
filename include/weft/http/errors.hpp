#pragma once

#include <memory>
#include <string>

#include <weft/base/error.hpp>
#include <weft/http/response.hpp>

namespace weft::http {

/// A request without an answer that could be returned. what() reads "GET http://host/path: REASON"; user and password of the
/// URL are left out of it. That a deadline passed is weft::TimeoutError instead.
/// Semantics: after requests.RequestException and what derives from it.
class RequestException : public Error {
 public:
  /// `request`: what was tried, "GET http://host/path".
  RequestException(const std::string& request, std::string url, std::string reason)
      : Error{request + ": " + reason}, url_{std::move(url)}, reason_{std::move(reason)} {}

  [[nodiscard]] const std::string& url() const noexcept { return url_; }
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

 private:
  std::string url_;
  std::string reason_;
};

/// The server was not reached, or the connection broke before the whole answer had come: an unknown name, a refused or reset
/// connection, a certificate nobody vouches for, an answer that is not HTTP.
class ConnectionError : public RequestException {
 public:
  ConnectionError(const std::string& request, std::string url, std::string reason, int error = 0)
      : RequestException{request, std::move(url), std::move(reason)}, error_{error} {}

  /// What the system said, such as ECONNREFUSED; 0: it was not the system.
  [[nodiscard]] int errno_value() const noexcept { return error_; }

 private:
  int error_;
};

/// A text that is no URL, or whose scheme is neither http nor https.
class InvalidURL : public RequestException {
 public:
  using RequestException::RequestException;
};

/// The name or value of a header, or a method, that cannot be sent as such.
class InvalidHeader : public RequestException {
 public:
  using RequestException::RequestException;
};

/// Redirects led on and on.
class TooManyRedirects : public RequestException {
 public:
  using RequestException::RequestException;
};

/// The body is longer than max_size_bytes.
class ResponseTooLarge : public RequestException {
 public:
  using RequestException::RequestException;
};

/// The server answered, with a status that says that it did not do what was asked. what() reads "404 Not Found: URL".
/// Thrown by Response::raise_for_status() only.
/// Semantics: after requests.HTTPError.
class HTTPStatusError : public Error {
 public:
  explicit HTTPStatusError(Response response);

  [[nodiscard]] int status_code() const noexcept { return response_->status_code; }
  /// The whole answer.
  [[nodiscard]] const Response& response() const noexcept { return *response_; }

 private:
  std::shared_ptr<const Response> response_;  // copies of the exception share it
};

}  // namespace weft::http
