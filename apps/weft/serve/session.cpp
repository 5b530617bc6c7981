#include "serve/session.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/text.hpp"
#include "serve/extended.hpp"
#include "serve/plain.hpp"
#include "weft/base/error.hpp"

namespace weft::app {

namespace {

std::string address_text(Socket& socket) {
  try {
    return socket.peer_address().to_string();
  } catch (const std::exception&) {
    return "unknown";  // it has hung up already
  }
}

Pace::Limit pace_limit(const ServeOptions& options) {
  Pace::Limit limit;
  limit.bytes_per_second = options.min_bytes_per_second;
  return limit;
}

}  // namespace

Session::Session(ServerContext& context, Socket socket)
    : context_(context),
      wire_(std::move(socket), context.options.max_frame_bytes, pace_limit(context.options)),
      peer_(address_text(wire_.socket())) {}

void Session::run() {
  try {
    converse();
    context_.log.debug("{}: the conversation ended", peer_);
  } catch (const std::exception& failure) {
    report_failure(failure);
  }
  wire_.socket().close();
}

void Session::converse() {
  std::optional<std::string> first = first_frame();
  if (!first || *first == kCloseFrame) return;
  const PlainRequest request = parse_plain_request(*first);
  if (const Hello* hello = std::get_if<Hello>(&request)) {
    ExtendedSession(context_, wire_, activity_, peer_).run(*hello);
  } else {
    run_plain(std::move(*first));
  }
}

void Session::run_plain(std::string first_frame) {
  if (context_.options.has_tokens()) {
    throw BadMessage("the base protocol has no tokens, and this server asks for one");
  }
  std::optional<std::string> frame = std::move(first_frame);
  while (frame && *frame != kCloseFrame) {
    if (!handle_plain(*frame)) return;
    if (context_.is_draining.load()) return;
    frame = next_frame();
  }
}

bool Session::handle_plain(std::string_view frame) {
  const PlainRequest request = parse_plain_request(frame);
  PlainReceiver receiver(context_, wire_, activity_, peer_);
  if (std::holds_alternative<PlainText>(request)) return receiver.receive_text();
  if (const PlainFile* file = std::get_if<PlainFile>(&request)) {
    receiver.receive_file(*file);
    return true;
  }
  throw BadMessage("hello must be the first message");
}

// A connection that says nothing is not worth more than the time for its first message.
std::optional<std::string> Session::first_frame() {
  const Duration timeout = context_.options.header_timeout;
  const Deadline deadline = Deadline::after(timeout);
  return has_input(deadline, timeout) ? wire_.recv_frame(deadline) : std::nullopt;
}

std::optional<std::string> Session::next_frame() {
  const Duration timeout = context_.options.idle_timeout;
  if (!has_input(Deadline::after(timeout), timeout)) return std::nullopt;
  return wire_.recv_frame(Deadline::after(context_.options.header_timeout));
}

bool Session::has_input(Deadline deadline, Duration timeout) {
  const bool has_come = wire_.wait_input(deadline);
  if (!has_come) context_.log.info("{}: nothing came for {}", peer_, clock_text(timeout));
  return has_come;
}

void Session::report_failure(const std::exception& failure) {
  context_.log.warn("{}: disconnected: {}", peer_, escaped(failure.what()));
}

void Session::nudge() {
  if (!activity_.text().empty()) return;  // it looks at is_draining when it is done
  try {
    // The fiber sees the end of the stream, after anything that has come already.
    wire_.socket().shutdown(Socket::How::Read);
  } catch (const std::exception&) {
    // It has just ended by itself.
  }
}

void Session::cut() {
  wire_.socket().close();
}

std::string Session::activity() const {
  const std::string text = activity_.text();
  return text.empty() ? text : fmt::format("{} with {}", text, peer_);
}

}  // namespace weft::app
