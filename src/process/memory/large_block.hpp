#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>

#include <weft/base/owned_fd.hpp>

namespace weft::process::detail {

/// The memory of one large value on its way to another process: written once by its sender, the descriptor sent, read in place, or
/// copied out once, by its receiver. Blocks are used again, on both sides with the mapping they have, since new pages and page faults
/// cost several times what copying does.
///
///   sender:    block = LargeBlock::take(size); block.write(0, ...) or block.bytes(); send block.size() and block.lend()
///              Keep the block as long as it may have to be sent once more, then let go of it.
///   receiver:  block = LargeBlock::receive(fd, size); block.bytes() or block.read(...); let go of it
///
/// Whether a block may be used again is a count in its own first page: lend() adds one, the receiver's end takes one off. A receiver
/// that is killed leaves its one there, so that the block is never used again, and goes when it is the oldest of too many; a sender
/// that is killed leaves the receiver its mapping. At most kMostBlocks and kMostBytes are kept on either side, until trim().
///
/// Thread-safety: none of its own; different blocks, from anywhere. A child of fork() starts with none to use again.
/// Blocking:      never waits for anybody.
/// Errors:        OSError: no memory, no descriptor; ProtocolError: what came is no block.
class LargeBlock {
 public:
  static constexpr std::size_t kMostBlocks = 16;
  static constexpr std::size_t kMostBytes = std::size_t{512} << 20;
  /// Below it, to copy through a pipe or a ring costs less than a descriptor does.
  static constexpr std::size_t kWorthwhile = std::size_t{256} << 10;

  LargeBlock() noexcept;
  LargeBlock(LargeBlock&& other) noexcept;
  LargeBlock& operator=(LargeBlock&& other) noexcept;
  ~LargeBlock();

  /// To be filled. What is in it is anything.
  [[nodiscard]] static LargeBlock take(std::size_t size);
  /// Makes it larger, or smaller: what is in it stays. bytes() may move. Before lend() only.
  void resize(std::size_t size);
  /// One receiver more. The descriptor stays the block's: duplicated by the send.
  [[nodiscard]] int lend() noexcept;
  /// The last lend() did not reach anybody.
  void take_back() noexcept;

  /// Gives back to the system what nobody has used for so long: for processes that have nothing to do for a while.
  static void trim(std::chrono::nanoseconds unused_for) noexcept;

  /// What a sender sent, which said how much of it counts.
  [[nodiscard]] static LargeBlock receive(OwnedFd fd, std::size_t size);

  [[nodiscard]] explicit operator bool() const noexcept { return held_ != nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// In place; starts at a page.
  [[nodiscard]] std::span<std::byte> bytes() const noexcept;
  /// The same as copying to and from bytes(), and faster while the mapping has not been used.
  void write(std::size_t offset, std::span<const std::byte> bytes);
  void read(std::size_t offset, void* to, std::size_t size) const;

 private:
  friend struct LargeBlocks;
  struct Held;

  LargeBlock(std::unique_ptr<Held> held, std::size_t size) noexcept;
  void let_go() noexcept;

  std::unique_ptr<Held> held_;
  std::size_t size_ = 0;
};

}  // namespace weft::process::detail
