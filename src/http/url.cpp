#include "http/url.hpp"

#include <curl/curl.h>

#include <new>

#include <weft/http/errors.hpp>

#include "http/text.hpp"

namespace weft::http {

namespace {

[[noreturn]] void refuse(const std::string& text, const std::string& reason) {
  throw InvalidURL{"URL \"" + text + '"', text, reason};
}

std::string explain(CURLUcode code, const std::string& text) {
  if (text.find("://") == std::string::npos) return "no scheme; it has to begin with http:// or https://";
  return ::curl_url_strerror(code);
}

}  // namespace

Url::Url(const std::string& text) : parts_{::curl_url()} {
  if (!parts_) throw std::bad_alloc{};
  read(parts_, text);
}

void Url::read(const Parts& parts, const std::string& text) {
  if (text.find('\0') != std::string::npos) refuse(text.substr(0, text.find('\0')), "it holds a NUL");
  constexpr unsigned kLenient = CURLU_URLENCODE | CURLU_ALLOW_SPACE | CURLU_NON_SUPPORT_SCHEME;
  const CURLUcode code = ::curl_url_set(parts.get(), CURLUPART_URL, text.c_str(), kLenient);
  if (code == CURLUE_OUT_OF_MEMORY) throw std::bad_alloc{};
  if (code != CURLUE_OK) refuse(text, explain(code, text));
  const std::string scheme = part(parts, CURLUPART_SCHEME);
  if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https")) {
    refuse(text, "the scheme is " + scheme + "; it has to be http or https");
  }
  if (part(parts, CURLUPART_HOST).empty()) refuse(text, "it names no host");
}

Url::Parts Url::copy_of(const Parts& parts) {
  Parts copy{::curl_url_dup(parts.get())};
  if (!copy) throw std::bad_alloc{};
  return copy;
}

std::string Url::part(const Parts& parts, CURLUPart which, unsigned flags) {
  char* text = nullptr;
  const CURLUcode code = ::curl_url_get(parts.get(), which, &text, flags);
  if (code == CURLUE_OUT_OF_MEMORY) throw std::bad_alloc{};
  if (code != CURLUE_OK) return {};
  const std::unique_ptr<char, decltype(&::curl_free)> owner{text, &::curl_free};
  return text;
}

Url Url::joined(const std::string& link) const {
  Parts parts = copy_of(parts_);
  read(parts, link);
  return Url{std::move(parts)};
}

std::string Url::text() const { return part(parts_, CURLUPART_URL); }

std::string Url::shown() const {
  const Parts parts = copy_of(parts_);
  ::curl_url_set(parts.get(), CURLUPART_USER, nullptr, 0);
  ::curl_url_set(parts.get(), CURLUPART_PASSWORD, nullptr, 0);
  return part(parts, CURLUPART_URL);
}

bool Url::has_same_origin(const Url& other) const {
  const auto same = [&](CURLUPart which) {
    return equal_ignoring_case(part(parts_, which, CURLU_DEFAULT_PORT), part(other.parts_, which, CURLU_DEFAULT_PORT));
  };
  return same(CURLUPART_SCHEME) && same(CURLUPART_HOST) && same(CURLUPART_PORT);
}

}  // namespace weft::http
