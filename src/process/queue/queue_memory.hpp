#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <weft/base/owned_fd.hpp>

#include "process/queue/queue_control.hpp"

namespace weft::process::detail {

/// The file of a queue, as this process has it mapped, and what is in it: byte strings, in order. Knows nothing of
/// waiting; whoever calls holds the lock that a method names.
///
/// The strings form one stream through a chain of segments, each string behind its length and padded to eight bytes;
/// one that meets the end of a segment goes on in the next. Segments that have been read go to a stack of spare ones;
/// the file grows when there is none.
///
/// A process may be killed at any instruction of this. So nothing that counts is ever changed in place: where the
/// stream ends is in puts.at[puts.count % 2]. A put writes its bytes behind that end, where nobody looks, and the new end
/// into the other place; one store of puts.count then makes all of it true. A get does the same with gets.at and
/// gets.count. What a killed process can leave behind is therefore only a segment that is neither in the chain nor
/// spare; the next owner of its lock is told, and repair() finds it.
///
/// Errors: OSError (memory, the file-size limit, descriptors). The queue is then as it was before.
class QueueMemory {
 public:
  struct Setup {
    std::uint64_t maxsize = 0;
    std::uint64_t type = 0;  ///< Tells queues of different things apart.
    const char* name = nullptr;
  };

  explicit QueueMemory(const Setup& setup);
  /// That of another process. Throws ProtocolError: it is no such file.
  QueueMemory(OwnedFd file, std::uint64_t type);
  QueueMemory(const QueueMemory&) = delete;
  QueueMemory& operator=(const QueueMemory&) = delete;
  ~QueueMemory();

  [[nodiscard]] QueueControl& control() const noexcept { return *control_; }
  [[nodiscard]] int file() const noexcept { return file_.get(); }

  /// Writes a string to behind the end of the stream; publish() then makes it part of it. Holding the lock of puts.
  [[nodiscard]] QueuePlace write(std::span<const std::byte> bytes) {
    const QueuePlace end = control_->puts.place();
    std::byte* const base = segment(end.segment);
    const std::size_t length = record_length(bytes.size());
    const std::size_t room = (end.segment == 0 ? control_->puts.reserved : kSegmentBytes) - end.position;
    if (length > room) [[unlikely]]
      return write_across(end, bytes);
    write_record(base + end.position, bytes);
    return {end.segment, static_cast<std::uint32_t>(end.position + length)};
  }
  void publish(QueuePlace end) noexcept { control_->puts.publish(end); }

  /// Copies the first string to `room`, if it is large enough, and says how long it is. Holding the lock of gets, and
  /// there is one.
  struct Read {
    std::size_t size = 0;
    QueuePlace next;  ///< Where the one after it begins; no segment: it was not copied.
  };
  [[nodiscard]] Read read(std::span<std::byte> room) {
    const QueuePlace at = control_->gets.place();
    if (at.position < kSegmentBytes) [[likely]] {
      const std::byte* const record = segment(at.segment) + at.position;
      const std::size_t size = record_size(record);
      if (size > room.size()) return {size, {}};
      const std::size_t length = record_length(size);
      if (length <= kSegmentBytes - at.position) [[likely]] {
        copy_record(room.data(), record, size);
        return {size, {at.segment, static_cast<std::uint32_t>(at.position + length)}};
      }
    }
    return read_across(at, room);
  }
  /// Takes what was read off the stream.
  void take(QueuePlace next) noexcept {
    const QueuePlace before = control_->gets.place();
    control_->gets.publish(next);
    if (next.segment != before.segment) [[unlikely]]
      set_free(before.segment, next.segment);
  }

  /// Drops the contents of all segments; nothing may be written or read afterwards. Holding both locks.
  void discard() noexcept;

  /// For tests: how many segments exist, are spare, and are in the chain. Holding both locks, or nobody else there.
  struct Census {
    std::size_t all = 0, spare = 0, chained = 0;
  };
  [[nodiscard]] Census census();

 private:
  class Writer;

  // Window 0 is segment 0, window k segments 2^(k-1) to 2^k - 1: few mappings, however long the file becomes, and never
  // moved.
  static constexpr std::size_t kWindows = 32;
  static constexpr std::size_t kLengthBytes = 8;

  [[nodiscard]] static constexpr std::size_t record_length(std::size_t size) {
    return kLengthBytes + (size + 7) / 8 * 8;
  }
  static void write_record(std::byte* record, std::span<const std::byte> bytes) noexcept;
  [[nodiscard]] static std::size_t record_size(const std::byte* record) noexcept;
  static void copy_record(std::byte* to, const std::byte* record, std::size_t size) noexcept;

  [[nodiscard]] std::byte* segment(std::uint32_t number) {
    if (number == 0) return reinterpret_cast<std::byte*>(control_);
    return later_segment(number);
  }
  [[nodiscard]] std::byte* later_segment(std::uint32_t number);
  [[nodiscard]] std::byte* map_window(std::size_t window);
  [[nodiscard]] SegmentHeader& header(std::uint32_t number) {
    return *reinterpret_cast<SegmentHeader*>(segment(number));
  }

  [[nodiscard]] QueuePlace write_across(QueuePlace end, std::span<const std::byte> bytes);
  [[nodiscard]] Read read_across(QueuePlace at, std::span<std::byte> room);
  [[nodiscard]] std::uint32_t take_segment();
  [[nodiscard]] std::uint32_t add_segment();
  void set_free(std::uint32_t first, std::uint32_t last) noexcept;
  void make_spare(std::uint32_t number) noexcept;
  void push(std::atomic<std::uint32_t>& stack, std::uint32_t number) noexcept;
  [[nodiscard]] std::uint32_t pop(std::atomic<std::uint32_t>& stack);
  void reserve(std::uint64_t offset, std::uint64_t bytes);
  void reserve_first(std::uint32_t end);
  void repair();
  [[nodiscard]] bool mark_chain(std::span<bool> used);

  OwnedFd file_;
  QueueControl* control_ = nullptr;
  std::array<std::atomic<std::byte*>, kWindows> windows_{};
};

}  // namespace weft::process::detail
