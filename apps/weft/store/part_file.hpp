#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/hashing.hpp"
#include "proto/messages.hpp"
#include "store/publish.hpp"
#include "store/root.hpp"

namespace weft::app {

/// What makes two uploads the same one, so that the second may go on where the first stopped.
struct UploadIdentity {
  std::string name;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  bool checks = true;

  /// 32 hexadecimal digits.
  [[nodiscard]] std::string key() const;
};

/// An unfinished upload on the disk: the bytes that came in order, and the XXH3 of each of their chunks.
///
///     .weft-part/KEY        the bytes
///     .weft-part/KEY.sums   one XXH3 (8 bytes, little-endian) a chunk, written after the chunk itself
///
/// It outlives the connection and the server. What is really there is found by verify_some(), which trusts nothing:
/// after a power cut the bytes may be fewer than the sums, or wrong.
/// Thread-safety: one caller at a time. Blocking: yes, in the kernel. Errors: Refusal.
class PartFile {
 public:
  /// Opens or begins it. Throws: Refusal; Busy when another process is writing it.
  PartFile(const Root& root, const UploadIdentity& identity, Fsync fsync);

  /// Checks up to `max_chunks` further chunks and adds them to `whole`. Returns whether more may follow.
  [[nodiscard]] bool verify_some(Sha256& whole, std::size_t max_chunks);
  /// The bytes verified or written so far: whole chunks, or the whole file.
  [[nodiscard]] std::uint64_t good_bytes() const noexcept { return good_bytes_; }

  /// Forgets the bytes after good_bytes().
  void cut_to_good();
  /// Forgets everything.
  void restart();
  /// Adds the next chunk. `sum` is its XXH3, or 0 for an upload without checks.
  void append(std::span<const std::byte> chunk, std::uint64_t sum);

  /// Brings the bytes to the disk; with much unwritten data this takes long.
  void sync();
  /// Shows the finished file. Returns: where.
  [[nodiscard]] std::string publish(int folder, std::string_view leaf, Policy policy, const FileFacts& facts);
  /// Removes it.
  void discard() noexcept;

 private:
  [[nodiscard]] FileDescriptor open_private(const std::string& name) const;
  void start_write_back() noexcept;

  // Fixed after construction.
  const Root* root_;
  UploadIdentity identity_;
  std::string key_;
  Fsync fsync_;
  FileDescriptor bytes_;
  FileDescriptor sums_;              // none for an upload without checks
  std::uint64_t claimed_bytes_ = 0;  // what files and sums say was there when opened

  std::uint64_t good_bytes_ = 0;
  std::uint64_t written_back_ = 0;  // up to here, write-back was started or waited for
  std::vector<std::byte> buffer_;   // for verify_some()
};

/// Removes unfinished uploads that nobody has touched for `age_seconds`. Returns how many.
std::size_t remove_stale_parts(const Root& root, std::int64_t age_seconds);

/// Throws Refusal when the file system of the root has clearly no room for `bytes` more.
void check_room(const Root& root, std::uint64_t bytes, std::string_view name);

}  // namespace weft::app
