#include <weft/http/request.hpp>

#include <algorithm>
#include <memory>

#include "http/driver.hpp"
#include "http/exchange.hpp"
#include "http/text.hpp"
#include "http/url.hpp"

namespace weft::http {

namespace {

constexpr std::uint64_t kMostInMemory = std::uint64_t{256} << 20;
constexpr std::uint64_t kUnlimited = UINT64_MAX;

using OnBody = UniqueFunction<void(const Response& head, std::string_view bytes)>;

std::string in_upper_case(std::string_view text) {
  std::string result{text};
  std::transform(result.begin(), result.end(), result.begin(), upper);
  return result;
}

void check(const Question& question) {
  const auto refuse = [&](const std::string& reason) {
    throw InvalidHeader{question.name(), question.shown_url, reason};
  };
  if (!is_token(question.method)) refuse("the method is not one word of letters");
  if (question.method == "CONNECT") refuse("that method is for proxies, and makes no request");
  if (question.method == "HEAD" && !question.body->empty()) refuse("a HEAD request has no body");
  for (const auto& [name, value] : question.headers) {
    if (!is_token(name)) refuse("\"" + name + "\" is no name of a header");
    if (!is_header_value(value)) refuse("the value of the header " + name + " holds a control character, such as an end of line");
  }
}

/// While its caller is interested in an exchange.
class Interest {
 public:
  explicit Interest(std::shared_ptr<Exchange> exchange) : exchange_{std::move(exchange)} { Driver::begin(exchange_); }
  Interest(const Interest&) = delete;
  Interest& operator=(const Interest&) = delete;
  ~Interest() {
    if (exchange_) Driver::abandon(std::move(exchange_));
  }
  void end() noexcept { exchange_ = nullptr; }

 private:
  std::shared_ptr<Exchange> exchange_;
};

Response ask(Question question, OnBody& on_body, Deadline deadline) {
  const auto exchange = std::make_shared<Exchange>(std::move(question));
  Interest interest{exchange};
  std::string bytes;
  for (Exchange::News news; !news.ended;) {
    if (!exchange->wait(deadline)) exchange->throw_timeout();
    bytes.clear();
    news = exchange->take(bytes);
    if (news.was_full) Driver::resume(exchange);
    if (bytes.empty()) continue;
    on_body(exchange->response(), bytes);
    // With more there already, wait() would not look at the clock.
    if (!news.ended && deadline.has_passed()) exchange->throw_timeout();
  }
  interest.end();
  exchange->throw_failure();
  return std::move(exchange->response());
}

// As browsers and requests do: what was sent is sent again only if the server says so (307, 308).
void become_get(Question& question) {
  question.method = "GET";
  question.body = std::make_shared<const std::string>();
  for (const char* name : {"Content-Length", "Content-Type", "Transfer-Encoding"}) question.headers.erase(name);
}

void redirect(Question& question, Url& at, const Response& response) {
  Url to = at.joined(response.headers.get_all("Location").front());
  const bool was_post = question.method == "POST";
  const int status = response.status_code;
  if (question.method != "HEAD" && (status == 303 || status == 302 || (status == 301 && was_post))) become_get(question);
  if (!to.has_same_origin(at)) {
    // Secrets are for the server they were given for.
    for (const char* name : {"Authorization", "Cookie", "Host"}) question.headers.erase(name);
  }
  at = std::move(to);
  question.url = at.text();
  question.shown_url = at.shown();
}

}  // namespace

Response request(std::string_view method, std::string_view url, RequestOptions options) {
  const auto began = Clock::now();
  Deadline deadline = options.deadline;
  if (options.timeout) deadline = Deadline::earlier(deadline, Deadline::after(*options.timeout));
  Url at{std::string{url}};
  Question question;
  question.method = in_upper_case(method);
  question.url = at.text();
  question.shown_url = at.shown();
  question.headers = std::move(options.headers);
  question.body = std::make_shared<const std::string>(std::move(options.body));
  question.proxy = std::move(options.proxy);
  question.ca_file = std::move(options.ca_file);
  question.streams = static_cast<bool>(options.on_body);
  question.skips_redirects = options.allow_redirects;
  question.max_size_bytes = options.max_size_bytes.value_or(question.streams ? kUnlimited : kMostInMemory);
  check(question);
  detail::check_cancelled(detail::current_context());
  if (deadline.has_passed()) throw TimeoutError{question.name() + ": the deadline had passed before it began"};

  for (unsigned redirects = 0;; ++redirects) {
    Response response = ask(question, options.on_body, deadline);
    if (!options.allow_redirects || !is_redirect(response)) {
      response.elapsed = Clock::now() - began;
      return response;
    }
    if (redirects == options.max_redirects) {
      throw TooManyRedirects{question.name(), question.shown_url,
                             "redirected " + std::to_string(redirects) + " times, and again"};
    }
    redirect(question, at, response);
  }
}

}  // namespace weft::http
