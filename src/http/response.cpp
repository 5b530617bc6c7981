#include <weft/http/response.hpp>

#include <weft/http/errors.hpp>

namespace weft::http {

namespace {

std::string status_line(const Response& response) {
  std::string text = std::to_string(response.status_code);
  if (!response.reason.empty()) text += ' ' + response.reason;
  return text;
}

}  // namespace

void Response::raise_for_status() const {
  if (!ok()) throw HTTPStatusError{*this};
}

HTTPStatusError::HTTPStatusError(Response response)
    : Error{status_line(response) + ": " + response.url}, response_{std::make_shared<const Response>(std::move(response))} {}

}  // namespace weft::http
