#include "xfer/chunk_ring.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "base/text.hpp"
#include "proto/messages.hpp"
#include "store/read_file.hpp"
#include "weft/base/error.hpp"
#include "weft/fiber/spawn.hpp"
#include "weft/io/blocking.hpp"

namespace weft::app {

namespace {

// Runs `work` for each chunk of `in` until that queue is shut down.
template <class Work>
void for_each_chunk(Queue<Chunk*>& in, Work work) {
  try {
    while (true) work(in.get());
  } catch (const ShutDown&) {
    // The end of the stage: nothing more comes.
  }
}

}  // namespace

ChunkRing::ChunkRing() {
  chunks_.resize(kBuffers);
  for (Chunk& chunk : chunks_) {
    // Not zeroed: pages come into being when bytes do.
    chunk.memory = std::make_unique_for_overwrite<std::byte[]>(kChunkBytes);
    free_.put(&chunk);
  }
}

void ChunkRing::fail(std::exception_ptr failure) {
  const std::lock_guard guard(lock_);
  if (!failure_) failure_ = std::move(failure);
}

bool ChunkRing::has_failed() const {
  const std::lock_guard guard(lock_);
  return failure_ != nullptr;
}

void ChunkRing::rethrow_failure() const {
  const std::lock_guard guard(lock_);
  if (failure_) std::rethrow_exception(failure_);
}

// ---- ChunkReader

ChunkReader::ChunkReader(int file, Range range, Sha256* whole, std::string name)
    : file_(file), range_(range), whole_(whole), name_(std::move(name)) {
  reader_ = spawn([this] { read_all(); });
  hasher_ = spawn([this] { hash_all(); });
}

ChunkReader::~ChunkReader() {
  ring_.free().shutdown(true);
  to_hash_.shutdown(true);
  ready_.shutdown(true);
  reader_.join();
  hasher_.join();
}

Chunk* ChunkReader::next() {
  try {
    return ready_.get();
  } catch (const ShutDown&) {
    ring_.rethrow_failure();
    return nullptr;
  }
}

void ChunkReader::give_back(Chunk* chunk) {
  ring_.free().put(chunk);
}

void ChunkReader::read_all() {
  try {
    for (std::uint64_t offset = range_.begin; offset < range_.end;) {
      Chunk* chunk = ring_.free().get();
      chunk->offset = offset;
      chunk->size = std::min<std::uint64_t>(kChunkBytes, range_.end - offset);
      weft::blocking([&] {
        if (read_fully(file_, chunk->bytes(), offset, name_) != chunk->size) {
          throw Refusal(Code::Changed,
                        fmt::format("\"{}\" became shorter while it was read", escaped(name_)));
        }
        chunk->sum = whole_ ? xxh3(chunk->bytes()) : 0;
      });
      offset += chunk->size;
      to_hash_.put(chunk);
    }
  } catch (const ShutDown&) {
    // The user has lost interest.
  } catch (const std::exception&) {
    ring_.fail(std::current_exception());
  }
  to_hash_.shutdown();
}

void ChunkReader::hash_all() {
  try {
    for_each_chunk(to_hash_, [&](Chunk* chunk) {
      if (whole_) weft::blocking([&] { whole_->update(chunk->bytes()); });
      ready_.put(chunk);
    });
  } catch (const std::exception&) {
    ring_.fail(std::current_exception());
  }
  ready_.shutdown();
}

// ---- ChunkWriter

ChunkWriter::ChunkWriter(Sink sink, Sha256* whole) : sink_(std::move(sink)), whole_(whole) {
  checker_ = spawn([this] { check_all(); });
  writer_ = spawn([this] { write_all(); });
}

ChunkWriter::~ChunkWriter() {
  join();
}

Chunk* ChunkWriter::take_free() {
  Chunk* chunk = ring_.free().get();
  ring_.rethrow_failure();
  return chunk;
}

void ChunkWriter::submit(Chunk* chunk) {
  to_check_.put(chunk);
}

void ChunkWriter::finish() {
  join();
  ring_.rethrow_failure();
}

void ChunkWriter::join() {
  if (is_joined_) return;
  to_check_.shutdown();
  checker_.join();
  writer_.join();
  is_joined_ = true;
}

void ChunkWriter::check_all() {
  for_each_chunk(to_check_, [&](Chunk* chunk) {
    try {
      if (whole_ && !ring_.has_failed()) {
        weft::blocking([&] {
          if (xxh3(chunk->bytes()) != chunk->sum) {
            throw Refusal(Code::Corrupt,
                          fmt::format("the chunk at {} was damaged on the way", chunk->offset));
          }
          whole_->update(chunk->bytes());
        });
      }
    } catch (const std::exception&) {
      ring_.fail(std::current_exception());
    }
    to_write_.put(chunk);
  });
  to_write_.shutdown();
}

void ChunkWriter::write_all() {
  // After a failure the chunks go round unused, so that the receiver comes to ask for one and learns of it.
  for_each_chunk(to_write_, [&](Chunk* chunk) {
    try {
      if (!ring_.has_failed()) weft::blocking([&] { sink_(*chunk); });
    } catch (const std::exception&) {
      ring_.fail(std::current_exception());
    }
    ring_.free().put(chunk);
  });
}

}  // namespace weft::app
