#include "serve/upload.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <vector>

#include "base/text.hpp"
#include "proto/names.hpp"
#include "weft/fiber/spawn.hpp"
#include "weft/io/blocking.hpp"
#include "xfer/chunk_ring.hpp"

namespace weft::app {

namespace {

using namespace std::chrono_literals;

// How long a connection that is told to go may take to let go of its upload: it may be writing its last chunks.
constexpr auto kTakeOverTimeout = 15s;
constexpr auto kWaitMessageEvery = 2s;
constexpr std::size_t kVerifyChunks = 64;  // between two signs of life

}  // namespace

void UploadReceiver::receive(const Put& put) {
  check_name(put.name);
  const Busy busy(activity_, fmt::format("upload of \"{}\"", escaped(put.name)), put.size);
  const SplitName split = split_name(put.name);
  const FileDescriptor folder =
      weft::blocking([&] { return context_.root.make_folder(split.folder, context_.options.fsync); });
  check_before(put, folder.get());

  const UploadIdentity identity{put.name, put.size, put.mtime_ns, put.checks};
  const auto evict = [&wire = wire_, id = put.id] {
    wire.try_farewell({Code::TakenOver, "a newer connection goes on with this upload", id});
    wire.socket().close();
  };
  const UploadRegistry::Claim claim =
      context_.uploads.claim(identity.key(), evict, Deadline::after(kTakeOverTimeout));
  const std::unique_ptr<PartFile> part = weft::blocking(
      [&] { return std::make_unique<PartFile>(context_.root, identity, context_.options.fsync); });
  Sha256 whole;
  offer_resume(put, *part, whole);
  if (receive_body(put, *part, whole)) finish(put, *part, folder.get());
}

void UploadReceiver::check_before(const Put& put, int folder) {
  const std::string leaf(split_name(put.name).leaf);
  const std::optional<std::uint64_t> taken =
      put.policy == Policy::Refuse ? taken_size(folder, leaf) : std::optional<std::uint64_t>();
  if (taken) throw AlreadyThere(put.name, *taken);
}

// ---- what is there already

void UploadReceiver::offer_resume(const Put& put, PartFile& part, Sha256& whole) {
  while (weft::blocking([&] { return part.verify_some(whole, kVerifyChunks); })) {
    wire_.queue(Wait{put.id});
    wire_.flush();
  }
  const std::uint64_t offset = part.good_bytes();
  weft::blocking([&] {
    part.cut_to_good();
    prepare_room(put, part);
  });
  wire_.queue(Ready{put.id, offset, offset == 0 ? std::string() : whole.hex()});
  wire_.flush();
  const Go go = receive_go(put);
  if (go.offset == offset) return;
  if (go.offset != 0) throw BadMessage("an upload must go on at the offset offered, or at 0");
  weft::blocking([&] { part.restart(); });
  whole = Sha256();
}

// A disk that is clearly too small is better said now than after an hour.
void UploadReceiver::prepare_room(const Put& put, PartFile& part) {
  try {
    check_room(context_.root, put.size - part.good_bytes(), put.name);
  } catch (const Refusal&) {
    if (part.good_bytes() == 0) part.discard();
    throw;
  }
}

Go UploadReceiver::receive_go(const Put& put) {
  const Go go = receive_message<Go>(put);
  if (go.offset > 0) {
    context_.log.info("{}: upload of \"{}\" goes on at {} of {}", peer_, escaped(put.name),
                      bytes_text(go.offset), bytes_text(put.size));
  }
  return go;
}

template <class Message>
Message UploadReceiver::receive_message(const Put& put) {
  while (true) {
    if (!wire_.wait_input(Deadline::after(context_.options.idle_timeout))) {
      throw TooSlow("nothing came in the middle of an upload");
    }
    const std::optional<std::string> frame =
        wire_.recv_frame(Deadline::after(context_.options.header_timeout));
    if (!frame) throw EndOfStream("the connection ended in the middle of an upload", 0);
    const Request request = parse_request(*frame);
    if (std::holds_alternative<Wait>(request)) continue;
    const Message* message = std::get_if<Message>(&request);
    if constexpr (!std::is_same_v<Message, End>) {
      const End* end = std::get_if<End>(&request);
      if (end && end->id == put.id && end->aborted) throw Refusal(Code::Aborted, "given up by the client");
    }
    if (!message || message->id != put.id) throw BadMessage("an upload was interrupted by another message");
    return *message;
  }
}

// ---- the body

// Returns: false when the upload failed and the client knows.
bool UploadReceiver::receive_body(const Put& put, PartFile& part, Sha256& whole) {
  std::uint64_t position = part.good_bytes();
  bool is_complete = false;
  try {
    is_complete = receive_chunks(put, part, whole, position);
  } catch (const Refusal& refusal) {
    // The client learns of it at once, and stops; what it has sent until then must be taken.
    context_.log.warn("{}: upload of \"{}\" failed: {}", peer_, escaped(put.name), refusal.what());
    wire_.queue(Failed{put.id, refusal.code(), refusal.what(), 0});
    wire_.flush();
    discard_chunks(put, position);
    return false;
  }
  if (!is_complete) throw Refusal(Code::Aborted, "given up by the client");
  receive_end(put, part, whole);
  return true;
}

bool UploadReceiver::receive_chunks(const Put& put, PartFile& part, Sha256& whole, std::uint64_t& position) {
  ChunkWriter writer([&](const Chunk& chunk) { part.append(chunk.bytes(), chunk.sum); },
                     put.checks ? &whole : nullptr);
  while (position < put.size) {
    Chunk* chunk = writer.take_free();
    ChunkHeader header;
    if (!receive_chunk_header(put, position, header)) return false;
    chunk->offset = position;
    chunk->size = static_cast<std::size_t>(header.length);
    chunk->sum = header.xxh3;
    wire_.recv_exactly(chunk->bytes());
    position += chunk->size;
    activity_.set_moved(position);
    writer.submit(chunk);
  }
  writer.finish();
  return true;
}

bool UploadReceiver::receive_chunk_header(const Put& put, std::uint64_t position, ChunkHeader& header) {
  header = wire_.recv_chunk_header();
  if (header.length == kAbortedChunk) return false;
  const auto wanted = static_cast<std::int32_t>(std::min<std::uint64_t>(kChunkBytes, put.size - position));
  if (header.length != wanted)
    throw BadMessage(fmt::format("a chunk of {} bytes, not {}", header.length, wanted));
  return true;
}

void UploadReceiver::discard_chunks(const Put& put, std::uint64_t position) {
  std::vector<std::byte> sink(64 * 1024);
  ChunkHeader header;
  while (position < put.size) {
    if (!receive_chunk_header(put, position, header)) return;
    for (std::size_t rest = static_cast<std::size_t>(header.length); rest > 0;) {
      const std::size_t n = std::min(rest, sink.size());
      wire_.recv_exactly(std::span(sink).first(n));
      rest -= n;
    }
    position += static_cast<std::uint64_t>(header.length);
  }
  (void)receive_message<End>(put);
}

void UploadReceiver::receive_end(const Put& put, PartFile& part, const Sha256& whole) {
  const End end = receive_message<End>(put);
  if (end.aborted) {
    weft::blocking([&] { part.discard(); });
    throw Refusal(Code::Aborted, "given up by the client: the file changed while it was sent");
  }
  if (!put.checks || end.sha256 == whole.hex()) return;
  weft::blocking([&] { part.discard(); });
  throw Refusal(Code::Corrupt,
                fmt::format("\"{}\": the SHA-256 of what arrived is not that of what was sent; nothing "
                            "was stored, send it again",
                            escaped(put.name)));
}

// ---- the end

void UploadReceiver::finish(const Put& put, PartFile& part, int folder) {
  const SplitName split = split_name(put.name);
  std::string stored;
  work_while_telling(put, [&] {
    part.sync();
    stored = join_names(split.folder, part.publish(folder, split.leaf, put.policy, {put.mtime_ns, put.mode}));
  });
  context_.log.info("{}: stored \"{}\", {}", peer_, escaped(stored), bytes_text(put.size));
  wire_.queue(Done{put.id, stored, {}});
}

// A disk may need a minute for its part; the client must not take that for a dead server.
template <class Work>
void UploadReceiver::work_while_telling(const Put& put, Work work) {
  Fiber<void> worker = spawn([&] { weft::blocking([&] { work(); }); });
  try {
    while (!worker.join_for(kWaitMessageEvery)) {
      wire_.queue(Wait{put.id});
      wire_.flush();
    }
  } catch (...) {
    worker.join();  // it refers to our frame
    throw;
  }
  worker.get();
}

}  // namespace weft::app
