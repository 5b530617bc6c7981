#include "http/transfer.hpp"

#include <new>
#include <string>
#include <system_error>

namespace weft::http {

Transfer::Transfer(std::shared_ptr<Exchange> exchange, CURL* easy, SocketKeeper& sockets)
    : exchange_{std::move(exchange)}, easy_{easy} {
  set_up(sockets);
  set_up_method();
  set_up_headers();
}

Transfer::~Transfer() { ::curl_easy_reset(easy_); }

void Transfer::set_up(SocketKeeper& sockets) {
  const Question& question = exchange_->question;
  const auto set = [this](CURLoption option, auto value) { ::curl_easy_setopt(easy_, option, value); };
  set(CURLOPT_PRIVATE, this);
  set(CURLOPT_ERRORBUFFER, message_.data());
  set(CURLOPT_NOSIGNAL, 1L);
  // A transfer that is given up during the look-up of a name would wait for the name server, and all others with it. The helper
  // thread that asks it then cleans up after itself.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_URL, question.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  set(CURLOPT_ACCEPT_ENCODING, "");  // all that libcurl can decompress
  set(CURLOPT_USERAGENT, "weft/" WEFT_HTTP_VERSION);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (question.proxy) set(CURLOPT_PROXY, question.proxy->c_str());
  if (question.ca_file) {
    set(CURLOPT_CAINFO, question.ca_file->c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_PREREQFUNCTION, &Transfer::on_connected);
  set(CURLOPT_PREREQDATA, this);
  set(CURLOPT_OPENSOCKETFUNCTION, &Transfer::open_socket);
  set(CURLOPT_OPENSOCKETDATA, &sockets);
  set(CURLOPT_CLOSESOCKETFUNCTION, &Transfer::close_socket);
  set(CURLOPT_CLOSESOCKETDATA, &sockets);
}

void Transfer::set_up_method() {
  const Question& question = exchange_->question;
  if (question.method == "HEAD") {
    ::curl_easy_setopt(easy_, CURLOPT_NOBODY, 1L);
    return;
  }
  const bool usually_has_body = question.method == "POST" || question.method == "PUT" || question.method == "PATCH";
  if (usually_has_body || !question.body->empty()) {
    ::curl_easy_setopt(easy_, CURLOPT_POST, 1L);
    ::curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(question.body->size()));
    ::curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, question.body->data());  // not copied: the exchange outlives this
  }
  if (question.method != "GET" || !question.body->empty()) {
    ::curl_easy_setopt(easy_, CURLOPT_CUSTOMREQUEST, question.method.c_str());
  }
}

void Transfer::set_up_headers() {
  const Headers& headers = exchange_->question.headers;
  for (const auto& [name, value] : headers) {
    // An empty value is written with a semicolon; with the colon it would take the header away.
    add_header(value.empty() ? name + ';' : name + ": " + value);
  }
  // What libcurl would add of its own: a guess at the kind of the body, and a question whether it may send a long one.
  for (const char* name : {"Content-Type", "Expect"}) {
    if (!headers.contains(name)) add_header(std::string{name} + ':');
  }
  ::curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, headers_.get());
}

void Transfer::add_header(const std::string& line) {
  curl_slist* longer = ::curl_slist_append(headers_.get(), line.c_str());
  if (!longer) throw std::bad_alloc{};
  (void)headers_.release();
  headers_.reset(longer);
}

// ---- called by libcurl -----------------------------------------------------------------------------------------------

// Nothing may be thrown through libcurl. Any other count than what was given ends the transfer.
std::size_t Transfer::on_header(char* bytes, std::size_t size, std::size_t count, void* transfer) noexcept {
  auto& self = *static_cast<Transfer*>(transfer);
  try {
    if (self.exchange_->header_line({bytes, size * count})) return size * count;
    self.refusal_ = Refusal::LongHead;
  } catch (const std::bad_alloc&) {
    self.refusal_ = Refusal::OutOfMemory;
  }
  return CURL_WRITEFUNC_ERROR;
}

std::size_t Transfer::on_body(char* bytes, std::size_t size, std::size_t count, void* transfer) noexcept {
  auto& self = *static_cast<Transfer*>(transfer);
  try {
    switch (self.exchange_->feed({bytes, size * count})) {
      case Exchange::Fed::Taken:
        return size * count;
      case Exchange::Fed::Full:
        return CURL_WRITEFUNC_PAUSE;
      case Exchange::Fed::TooLarge:
        self.refusal_ = Refusal::LongBody;
    }
  } catch (const std::bad_alloc&) {
    self.refusal_ = Refusal::OutOfMemory;
  }
  return CURL_WRITEFUNC_ERROR;
}

int Transfer::on_connected(void* transfer, char*, char*, int, int) noexcept {
  static_cast<Transfer*>(transfer)->exchange_->note_connected();
  return CURL_PREREQFUNC_OK;
}

curl_socket_t Transfer::open_socket(void* keeper, curlsocktype, curl_sockaddr* address) noexcept {
  return static_cast<SocketKeeper*>(keeper)->open_socket(address->family, address->socktype, address->protocol);
}

int Transfer::close_socket(void* keeper, curl_socket_t fd) noexcept {
  static_cast<SocketKeeper*>(keeper)->close_socket(fd);
  return 0;
}

// ---- the verdict -----------------------------------------------------------------------------------------------------

Failure Transfer::failure_of(CURLcode code) const {
  using Kind = Failure::Kind;
  switch (refusal_) {
    case Refusal::None:
      break;
    case Refusal::LongHead:
      return {Kind::TooLarge, "the headers of the answer are longer than 256 KiB"};
    case Refusal::LongBody:
      return {Kind::TooLarge, "the body is longer than max_size_bytes, " + std::to_string(exchange_->question.max_size_bytes)};
    case Refusal::OutOfMemory:
      return {Kind::Broken, "out of memory"};
  }
  std::string reason = message_[0] != '\0' ? message_.data() : ::curl_easy_strerror(code);
  long error = 0;
  ::curl_easy_getinfo(easy_, CURLINFO_OS_ERRNO, &error);
  switch (code) {
    case CURLE_OK:
      // To libcurl, such an answer is one without a body.
      if (!exchange_->has_head()) return {Kind::Broken, "the connection was closed in the midst of the headers"};
      return {};
    case CURLE_OPERATION_TIMEDOUT:
      return {Kind::TimedOut, std::move(reason)};
    case CURLE_OUT_OF_MEMORY:
      return {Kind::Broken, "out of memory, or a line of its head is longer than 100 KiB"};
    case CURLE_COULDNT_CONNECT:
      // libcurl only says that it could not.
      if (error != 0) reason = "cannot connect: " + std::generic_category().message(static_cast<int>(error));
      return {Kind::Broken, std::move(reason), static_cast<int>(error)};
    default:
      return {Kind::Broken, std::move(reason), static_cast<int>(error)};
  }
}

}  // namespace weft::http
