#include "http/exchange.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <weft/http/errors.hpp>

#include "engine/enlisted_wait.hpp"
#include "http/text.hpp"

namespace weft::http {

using detail::Entry;

namespace {

// More than any sane server sends; libcurl's own limit, where it has one, is a little higher.
constexpr std::size_t kMostHeadBytes = std::size_t{256} << 10;
// What a stream holds for a caller who is busy with earlier bytes; libcurl adds what it had read already.
constexpr std::size_t kMostPending = std::size_t{256} << 10;

}  // namespace

bool is_redirect(const Response& response) noexcept {
  switch (response.status_code) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
      return response.headers.contains("Location");
    default:
      return false;
  }
}

Exchange::Exchange(Question asked) : question{std::move(asked)}, process_{detail::this_process()} {
  response_.url = question.shown_url;
}

// ---- the caller ------------------------------------------------------------------------------------------------------

bool Exchange::wait(Deadline deadline) {
  if (!belongs_here()) {
    throw ConnectionError{question.name(), question.shown_url, "it was begun by the parent of this process, before fork()"};
  }
  // A wait for input, to those who look for deadlocks: the world outside ends it.
  return detail::wait_enlisted(
      detail::current_context(),
      {.kind = detail::WaitKind::Read, .object = this, .label = Label{question.shown_url.c_str(), {}}}, deadline,
      [this](Entry& entry) { return enlist(entry); },
      [this](Entry&) {
        const std::lock_guard guard{lock_};
        waiter_ = nullptr;
      });
}

bool Exchange::enlist(Entry& entry) noexcept {
  const std::lock_guard guard{lock_};
  if (ended_ || !pending_.empty()) return false;
  waiter_ = &entry;
  return true;
}

Exchange::News Exchange::take(std::string& bytes) {
  const std::lock_guard guard{lock_};
  pending_.swap(bytes);
  return {.ended = ended_, .was_full = std::exchange(full_, false)};
}

void Exchange::throw_failure() const {
  switch (failure_.kind) {
    case Failure::Kind::None:
      return;
    case Failure::Kind::Broken:
      throw ConnectionError{question.name(), question.shown_url, failure_.reason, failure_.error};
    case Failure::Kind::TimedOut:
      throw TimeoutError{question.name() + ": " + failure_.reason};
    case Failure::Kind::TooLarge:
      throw ResponseTooLarge{question.name(), question.shown_url, failure_.reason};
  }
}

void Exchange::throw_timeout() const {
  std::string what = question.name() + ": timed out ";
  if (const std::uint64_t received = received_.load(std::memory_order_relaxed)) {
    what += "after " + std::to_string(received) + " bytes of the answer";
  } else if (connected_.load(std::memory_order_relaxed)) {
    what += "waiting for the answer";
  } else {
    what += "connecting";
  }
  throw TimeoutError{what};
}

// ---- the driver ------------------------------------------------------------------------------------------------------

void Exchange::begin_head(std::string_view status_line) {
  // "HTTP/1.1 404 Not Found"
  response_.headers = {};
  response_.status_code = 0;
  const std::size_t number = std::min(status_line.find(' '), status_line.size());
  const std::string_view rest = without_spaces_around(status_line.substr(number));
  const char* after = std::from_chars(rest.data(), rest.data() + rest.size(), response_.status_code).ptr;
  response_.reason = without_spaces_around(rest.substr(static_cast<std::size_t>(after - rest.data())));
}

bool Exchange::header_line(std::string_view line) {
  head_bytes_ += line.size();
  if (head_bytes_ > kMostHeadBytes) return false;
  // What follows the body as trailers is passed over: the head may be the caller's by then.
  if (head_complete_) return true;
  if (line.starts_with("HTTP/")) {
    begin_head(line);  // of another answer, if there was one: 100 Continue comes first
    return true;
  }
  const std::string_view text = without_spaces_around(line);
  if (text.empty()) head_complete_ = response_.status_code >= 200;
  const std::size_t colon = text.find(':');
  // A line that goes on from the one before, as it was allowed once, is passed over.
  if (colon == std::string_view::npos || line.front() == ' ' || line.front() == '\t') return true;
  response_.headers.add(std::string{without_spaces_around(text.substr(0, colon))},
                        std::string{without_spaces_around(text.substr(colon + 1))});
  return true;
}

Exchange::Fed Exchange::feed(std::string_view bytes) {
  if (question.skips_redirects && is_redirect(response_)) return Fed::Taken;
  const std::uint64_t received = received_.load(std::memory_order_relaxed);
  if (bytes.size() > question.max_size_bytes - received) return Fed::TooLarge;
  if (!question.streams) {
    response_.content.append(bytes);
  } else {
    std::unique_lock guard{lock_};
    if (pending_.size() >= kMostPending) {
      full_ = true;
      return Fed::Full;
    }
    pending_.append(bytes);
    wake(guard);
  }
  received_.store(received + bytes.size(), std::memory_order_relaxed);
  return Fed::Taken;
}

void Exchange::end(Failure failure) noexcept {
  failure_ = std::move(failure);
  std::unique_lock guard{lock_};
  ended_ = true;
  wake(guard);
}

// Claims under the lock, as the entry exists only while it is registered; lets go of it without.
void Exchange::wake(std::unique_lock<std::mutex>& guard) noexcept {
  Entry* entry = std::exchange(waiter_, nullptr);
  const bool claimed = entry && detail::claim(*entry, detail::kFired);
  guard.unlock();
  if (claimed) detail::deliver(*entry);
}

}  // namespace weft::http
