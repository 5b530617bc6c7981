#include "serve/download.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/text.hpp"
#include "store/read_file.hpp"
#include "store/root.hpp"
#include "weft/io/blocking.hpp"
#include "xfer/chunk_ring.hpp"

namespace weft::app {

namespace {

constexpr std::size_t kMaxQueued = 256 * 1024;  // bytes of small files sent with one call

FileHead head_of(int file, const Get& get) {
  struct stat info {};
  if (::fstat(file, &info) != 0) throw refusal_of_errno(errno, "look at", get.name);
  FileHead head;
  head.id = get.id;
  head.size = static_cast<std::uint64_t>(info.st_size);
  head.mtime_ns = static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
  head.mode = info.st_mode & 0777;
  return head;
}

}  // namespace

void DownloadSender::send(const Get& get) {
  FileHead head;
  std::string small_body;
  std::string small_digest;
  // One trip to a helper thread is all that a small file costs.
  const FileDescriptor file = weft::blocking([&] {
    FileDescriptor opened = context_.root.open_file(get.name);
    head = head_of(opened.get(), get);
    if (head.size <= kChunkBytes) {
      small_body.resize(head.size);
      const std::size_t n =
          read_fully(opened.get(), std::as_writable_bytes(std::span(small_body)), 0, get.name);
      small_body.resize(n);
      head.size = n;
      if (get.checks) small_digest = Sha256::hex_of(small_body);
    }
    return opened;
  });
  const Busy busy(activity_, fmt::format("download of \"{}\"", escaped(get.name)), head.size);
  if (head.size > kChunkBytes) {
    send_big(get, file.get(), head);
  } else {
    wire_.queue(head);
    if (!small_body.empty()) wire_.queue_chunk(small_body, get.checks ? xxh3(small_body) : 0);
    wire_.queue(End{get.id, small_digest, false});
    if (wire_.queued_bytes() >= kMaxQueued) wire_.flush();
  }
  context_.log.info("{}: sent \"{}\", {}", peer_, escaped(get.name), bytes_text(head.size));
}

void DownloadSender::send_big(const Get& get, int file, FileHead head) {
  Sha256 whole;
  head.offset = agreed_offset(get, file, head.size, whole);
  wire_.queue(head);
  try {
    if (get.checks) {
      send_checked(file, head, get.name, whole);
    } else {
      send_unchecked(file, head);
    }
  } catch (const Refusal&) {
    wire_.queue_bytes(std::string_view(
        reinterpret_cast<const char*>(pack_chunk_header({kAbortedChunk, 0}).data()), kChunkHeaderBytes));
    throw;
  }
  wire_.queue(End{get.id, get.checks ? whole.hex() : std::string(), false});
}

// The client has some bytes of its own; they count if they are ours.
std::uint64_t DownloadSender::agreed_offset(const Get& get, int file, std::uint64_t size, Sha256& whole) {
  const bool is_possible = get.offset > 0 && get.offset <= size && !get.prefix_sha256.empty() &&
                           (get.offset % kChunkBytes == 0 || get.offset == size);
  if (!is_possible) return 0;
  const std::uint64_t hashed = hash_prefix(file, get.offset, whole, get.name, [&](std::uint64_t) {
    wire_.queue(Wait{get.id});
    wire_.flush();
  });
  if (hashed == get.offset && whole.hex() == get.prefix_sha256) return get.offset;
  whole = Sha256();
  return 0;
}

void DownloadSender::send_checked(int file, const FileHead& head, const std::string& name, Sha256& whole) {
  ChunkReader reader(file, {head.offset, head.size}, &whole, name);
  while (Chunk* chunk = reader.next()) {
    wire_.send_chunk(chunk->bytes(), chunk->sum);
    activity_.set_moved(chunk->offset + chunk->size);
    reader.give_back(chunk);
  }
}

void DownloadSender::send_unchecked(int file, const FileHead& head) {
  for (std::uint64_t offset = head.offset; offset < head.size;) {
    const std::size_t size = std::min<std::uint64_t>(kChunkBytes, head.size - offset);
    wire_.send_file_chunk(file, offset, size);
    offset += size;
    activity_.set_moved(offset);
  }
}

}  // namespace weft::app
