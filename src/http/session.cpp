#include <weft/http/session.hpp>

namespace weft::http {

Response Session::request(std::string_view method, std::string_view url, RequestOptions options) const {
  Headers all = options.headers;
  for (const auto& [name, value] : headers) {
    if (!options.headers.contains(name)) all.add(name, value);
  }
  options.headers = std::move(all);
  if (!options.timeout && options.deadline.is_never()) options.timeout = timeout;
  if (!options.max_size_bytes) options.max_size_bytes = max_size_bytes;
  if (!options.proxy) options.proxy = proxy;
  if (!options.ca_file) options.ca_file = ca_file;
  return http::request(method, url, std::move(options));
}

}  // namespace weft::http
