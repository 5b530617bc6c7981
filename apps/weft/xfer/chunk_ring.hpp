#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/hashing.hpp"
#include "weft/fiber/fiber.hpp"
#include "weft/queue/queue.hpp"
#include "weft/sync/lock.hpp"

// A few big buffers that go round between the network, the hash and the disk, so that the three overlap while memory
// stays the same for files of any size. Each stage is a fiber whose work runs on a helper thread, a buffer at a time.
//
//     ChunkReader:   free -> [read + XXH3] -> [SHA-256] -> next()      ... give_back() -> free
//     ChunkWriter:   take_free() ... submit() -> [XXH3 + SHA-256] -> [write] -> free
namespace weft::app {

/// One buffer and what it holds.
struct Chunk {
  std::unique_ptr<std::byte[]> memory;
  std::size_t size = 0;
  std::uint64_t offset = 0;
  std::uint64_t sum = 0;  // XXH3; 0 without checks

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {memory.get(), size}; }
};

/// The buffers of one transfer, and its first failure.
class ChunkRing {
 public:
  // One in each stage, one more so that none waits for its neighbour's last step.
  static constexpr std::size_t kBuffers = 4;

  ChunkRing();
  Queue<Chunk*>& free() noexcept { return free_; }
  void fail(std::exception_ptr failure);
  [[nodiscard]] bool has_failed() const;
  void rethrow_failure() const;

 private:
  std::vector<Chunk> chunks_;
  Queue<Chunk*> free_;
  mutable Lock lock_;
  std::exception_ptr failure_;  // guarded by lock_
};

/// Reads a part of a file ahead of whoever sends it.
///
/// Thread-safety: one user at a time. Lifetime: file and hash must outlive it; its destructor waits for its fibers.
class ChunkReader {
 public:
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  /// `whole`, when given, is fed every byte; without it chunks carry no sums either.
  ChunkReader(int file, Range range, Sha256* whole, std::string name);
  ~ChunkReader();
  ChunkReader(const ChunkReader&) = delete;
  ChunkReader& operator=(const ChunkReader&) = delete;

  /// The next chunk in order; nothing after the last. Throws: Refusal (Changed when the file is shorter than expected).
  [[nodiscard]] Chunk* next();
  void give_back(Chunk* chunk);

 private:
  void read_all();
  void hash_all();

  int file_;
  Range range_;
  Sha256* whole_;
  std::string name_;
  ChunkRing ring_;
  Queue<Chunk*> to_hash_;
  Queue<Chunk*> ready_;
  Fiber<void> reader_;
  Fiber<void> hasher_;
};

/// Checks, hashes and stores chunks behind whoever receives them.
///
/// Thread-safety: one user at a time. Lifetime: hash and sink must outlive it; its destructor stores what was
///                submitted and waits for its fibers.
class ChunkWriter {
 public:
  /// Called on a helper thread, in order, one chunk at a time.
  using Sink = std::function<void(const Chunk&)>;
  /// `whole`, when given, is fed every byte, after each chunk's sum was checked.
  ChunkWriter(Sink sink, Sha256* whole);
  ~ChunkWriter();
  ChunkWriter(const ChunkWriter&) = delete;
  ChunkWriter& operator=(const ChunkWriter&) = delete;

  /// A buffer of kChunkBytes to fill. Throws: the first failure of a stage (Corrupt, or what the sink threw).
  [[nodiscard]] Chunk* take_free();
  void submit(Chunk* chunk);
  /// Waits until everything is stored. Throws: the first failure.
  void finish();

 private:
  void check_all();
  void write_all();
  void join();

  Sink sink_;
  Sha256* whole_;
  ChunkRing ring_;
  Queue<Chunk*> to_check_;
  Queue<Chunk*> to_write_;
  Fiber<void> checker_;
  Fiber<void> writer_;
  bool is_joined_ = false;
};

}  // namespace weft::app
