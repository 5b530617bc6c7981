#include "serve/extended.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/hashing.hpp"
#include "base/text.hpp"
#include "serve/download.hpp"
#include "serve/listing.hpp"
#include "serve/upload.hpp"
#include "store/read_file.hpp"
#include "weft/io/blocking.hpp"

namespace weft::app {

namespace {

// A batch this big hides the cost of its hop to a helper thread, and of its journal commit, well enough.
constexpr std::size_t kBatchFiles = 64;
constexpr std::size_t kBatchBytes = kChunkBytes;
constexpr std::size_t kMaxQueuedAnswers = 64 * 1024;  // bytes

}  // namespace

void ExtendedSession::run(const Hello& hello) {
  if (!welcome(hello)) return;
  try {
    serve_requests();
  } catch (const BadMessage& bad) {
    say_bye(Code::BadRequest, bad.what());
    throw;
  } catch (const TooSlow& slow) {
    wire_.try_farewell({Code::TooSlow, slow.what()});
    throw;
  }
}

bool ExtendedSession::welcome(const Hello& hello) {
  const ServeOptions& options = context_.options;
  if (hello.version < 1) {
    say_bye(Code::Unsupported,
            fmt::format("this server speaks version {} of the protocol", kProtocolVersion));
    return false;
  }
  // Both comparisons are always made, so that their time tells nothing.
  const bool reads = equal_secrets(hello.token, options.read_token);
  const bool writes = equal_secrets(hello.token, options.write_token);
  may_read_ = options.has_tokens() ? !options.read_token.empty() && reads : true;
  may_write_ = options.has_tokens() ? !options.write_token.empty() && writes : true;
  if (!may_read_ && !may_write_) {
    context_.log.warn("{}: refused: wrong token", peer_);
    say_bye(Code::Denied,
            hello.token.empty() ? "this server asks for a token" : "the server does not know this token");
    return false;
  }
  Welcome reply;
  reply.server = "weft " WEFT_VERSION_STRING;
  reply.may_read = may_read_;
  reply.may_write = may_write_;
  wire_.queue(reply);
  return true;
}

void ExtendedSession::serve_requests() {
  while (const std::optional<std::string> frame = next_frame()) {
    if (*frame == kCloseFrame) break;
    handle(*frame);
    if (context_.is_draining.load()) {
      store_pending();
      say_bye(Code::Draining, "the server is stopping; try again later");
      return;
    }
  }
  store_pending();
  wire_.flush();
}

// While input is there, answers and small files wait for company; before the connection is waited for, both go out.
std::optional<std::string> ExtendedSession::next_frame() {
  const bool must_wait = !wire_.wait_input(Deadline::already());
  if (must_wait || pending_.size() >= kBatchFiles || pending_bytes_ >= kBatchBytes) store_pending();
  if (must_wait || wire_.queued_bytes() >= kMaxQueuedAnswers) wire_.flush();
  if (must_wait && !wire_.wait_input(Deadline::after(context_.options.idle_timeout))) {
    say_bye(Code::TooSlow, fmt::format("nothing came for {}", clock_text(context_.options.idle_timeout)));
    return std::nullopt;
  }
  return wire_.recv_frame(Deadline::after(context_.options.header_timeout));
}

void ExtendedSession::handle(std::string_view frame) {
  const Request request = parse_request(frame);
  // Answers keep the order of the requests. Uploads are independent of each other, so small ones may be collected.
  const Put* put = std::get_if<Put>(&request);
  if (!put || !put->eager) store_pending();
  const auto id = [&] { return std::visit([](const auto& message) { return message.id; }, request); };
  try {
    std::visit(
        [&](const auto& message) {
          if constexpr (requires { this->handle(message); }) {
            this->handle(message);
          } else if constexpr (!std::is_same_v<std::decay_t<decltype(message)>, Wait>) {
            throw BadMessage("a message that belongs inside an upload came outside of one");
          }
        },
        request);
  } catch (const AlreadyThere& there) {
    wire_.queue(Failed{id(), there.code(), there.what(), there.size()});
  } catch (const Refusal& refusal) {
    context_.log.info("{}: refused: {}", peer_, refusal.what());
    wire_.queue(Failed{id(), refusal.code(), refusal.what(), 0});
  }
}

void ExtendedSession::require(bool allowed, const char* what) const {
  if (!allowed) throw Refusal(Code::Denied, fmt::format("the token does not allow {}", what));
}

void ExtendedSession::say_bye(Code code, const std::string& text) {
  wire_.queue(Bye{code, text});
  wire_.flush();
}

// ---- uploads

void ExtendedSession::handle(const Put& put) {
  if (put.eager) {
    receive_eager(put);
    return;
  }
  require(may_write_, "uploads");
  UploadReceiver(context_, wire_, activity_, peer_).receive(put);
}

void ExtendedSession::receive_eager(const Put& put) {
  if (put.size > kChunkBytes) throw BadMessage("an eager upload must fit into one chunk");
  const Busy busy(activity_, fmt::format("upload of \"{}\"", escaped(put.name)));
  SmallFile file{put.id, put.name, {put.mtime_ns, put.mode}, put.policy, {}, put.checks, 0, put.sha256};
  // The body is there whatever the answer will be, and must be taken.
  if (put.size > 0) {
    const ChunkHeader header = wire_.recv_chunk_header();
    if (header.length != static_cast<std::int32_t>(put.size)) throw BadMessage("a chunk of the wrong length");
    file.sum = header.xxh3;
    file.body.resize(put.size);
    wire_.recv_exactly(std::as_writable_bytes(std::span(file.body)));
  }
  require(may_write_, "uploads");
  pending_bytes_ += file.body.size();
  pending_.push_back(std::move(file));
}

void ExtendedSession::store_pending() {
  if (pending_.empty()) return;
  const Busy busy(activity_, fmt::format("storing {} small files", pending_.size()));
  const std::vector<SmallResult> results =
      weft::blocking([&] { return store_batch(context_.root, pending_, context_.options.fsync); });
  for (const SmallResult& result : results) answer(result);
  pending_.clear();
  pending_bytes_ = 0;
}

void ExtendedSession::answer(const SmallResult& result) {
  if (result.failed) {
    context_.log.info("{}: refused: {}", peer_, result.failed->what());
    wire_.queue(Failed{result.id, result.failed->code(), result.failed->what(), result.size});
    return;
  }
  if (context_.log.should_log(spdlog::level::info))
    context_.log.info("{}: stored \"{}\"", peer_, escaped(result.name));
  wire_.queue(Done{result.id, result.name, {}});
}

// ---- everything else

void ExtendedSession::handle(const MakeFolder& request) {
  require(may_write_, "making folders");
  check_name(request.name);
  const Busy busy(activity_, "making a folder");
  weft::blocking([&] { return context_.root.make_folder(request.name, context_.options.fsync); });
  wire_.queue(Done{request.id, request.name, {}});
}

void ExtendedSession::handle(const List& request) {
  require(may_read_, "listing");
  const Busy busy(activity_, fmt::format("listing of \"{}\"", escaped(request.name)));
  send_listing(context_.root, wire_, request);
}

void ExtendedSession::handle(const Get& request) {
  require(may_read_, "downloads");
  DownloadSender(context_, wire_, activity_, peer_).send(request);
}

void ExtendedSession::handle(const DigestOf& request) {
  // A writer may ask as well: it is how a repeated upload finds out that it is done already.
  require(may_read_ || may_write_, "this");
  const Busy busy(activity_, fmt::format("hashing of \"{}\"", escaped(request.name)));
  const FileDescriptor file = weft::blocking([&] { return context_.root.open_file(request.name); });
  Sha256 sha;
  hash_prefix(file.get(), UINT64_MAX, sha, request.name, [&](std::uint64_t) {
    wire_.queue(Wait{request.id});
    wire_.flush();
  });
  wire_.queue(Done{request.id, request.name, sha.hex()});
}

void ExtendedSession::handle(const Say& request) {
  require(may_write_, "messages");
  const Busy busy(activity_, "printing a message");
  context_.print_text(peer_, request.text);
  wire_.queue(Done{request.id, {}, {}});
}

}  // namespace weft::app
