#include "serve/plain.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/text.hpp"
#include "proto/names.hpp"
#include "store/batch.hpp"
#include "store/part_file.hpp"
#include "store/publish.hpp"
#include "weft/io/blocking.hpp"
#include "xfer/chunk_ring.hpp"

namespace weft::app {

bool PlainReceiver::receive_text() {
  const std::optional<std::string> text = wire_.recv_frame(Deadline::after(context_.options.header_timeout));
  if (!text) return false;
  context_.print_text(peer_, *text);
  return true;
}

void PlainReceiver::receive_file(const PlainFile& request) {
  check_name(request.name);
  const std::uint64_t size = wire_.recv_plain_length(Deadline::after(context_.options.header_timeout));
  const Busy busy(activity_, fmt::format("upload of \"{}\"", escaped(request.name)), size);
  const std::string stored =
      size <= kChunkBytes ? receive_small(request.name, size) : receive_big(request.name, size);
  context_.log.info("{}: stored \"{}\", {}", peer_, escaped(stored), bytes_text(size));
}

std::string PlainReceiver::receive_small(const std::string& name, std::size_t size) {
  SmallFile file;
  file.name = name;
  file.facts.mode = 0666;
  file.policy = Policy::Rename;
  file.body.resize(size);
  wire_.recv_exactly(std::as_writable_bytes(std::span(file.body)));
  const auto results =
      weft::blocking([&] { return store_batch(context_.root, std::span(&file, 1), context_.options.fsync); });
  if (results.front().failed) throw Refusal(*results.front().failed);
  return results.front().name;
}

std::string PlainReceiver::receive_big(const std::string& name, std::uint64_t size) {
  const SplitName split = split_name(name);
  const Fsync fsync = context_.options.fsync;
  check_room(context_.root, size, name);
  const FileDescriptor folder =
      weft::blocking([&] { return context_.root.make_folder(split.folder, fsync); });
  StagedFile staged(context_.root, folder.get());
  {
    ChunkWriter writer(
        [&](const Chunk& chunk) {
          write_fully(staged.fd(), {reinterpret_cast<const char*>(chunk.memory.get()), chunk.size},
                      chunk.offset, name);
        },
        nullptr);
    for (std::uint64_t offset = 0; offset < size;) {
      Chunk* chunk = writer.take_free();
      chunk->offset = offset;
      chunk->size = std::min<std::uint64_t>(kChunkBytes, size - offset);
      wire_.recv_exactly(chunk->bytes());
      offset += chunk->size;
      activity_.set_moved(offset);
      writer.submit(chunk);
    }
    writer.finish();
  }
  return weft::blocking([&] {
    set_facts(staged.fd(), {0, 0666}, context_.root, name);
    sync_file(staged.fd(), fsync, name);
    std::string leaf = staged.publish(split.leaf, Policy::Rename);
    sync_folder(folder.get(), fsync, name);
    return join_names(split.folder, leaf);
  });
}

}  // namespace weft::app
