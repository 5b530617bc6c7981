#include <weft/process/parcel.hpp>

#include <algorithm>
#include <string>
#include <utility>

#include <weft/base/error.hpp>

#include "process/memory/large_block.hpp"

namespace weft::process {

namespace {

// In a block, room is made for what is known and a little more: what is larger is written by the block, which knows how best to.
constexpr std::size_t kRoomInBlock = 64 << 10;

}  // namespace

void Outgoing::write_beyond(const void* bytes, std::size_t size) {
  grow_for(size);
  if (block_) {
    block_->write(size_, {static_cast<const std::byte*>(bytes), size});
  } else {
    std::memcpy(begin_ + size_, bytes, size);
  }
  size_ += size;
}

void Outgoing::grow_for(std::size_t size) {
  if (block_ || (large_in_block_ && size_ + size >= detail::LargeBlock::kWorthwhile)) {
    grow_block(size);
  } else {
    grow(size);
  }
}

void Outgoing::grow_block(std::size_t size) {
  const std::size_t needed = size_ + size + kRoomInBlock;
  if (!block_) {
    auto block = std::make_unique<detail::LargeBlock>(detail::LargeBlock::take(needed));
    if (size_ != 0) block->write(0, bytes());
    block_ = block.release();
    heap_.reset();
  } else if (needed > block_->size()) {
    block_->resize(std::max(needed, size_ + size_ / 2));
  }
  begin_ = block_->bytes().data();
  capacity_ = needed;
}

detail::LargeBlock& Outgoing::block() {
  if (!block_) {
    auto block = std::make_unique<detail::LargeBlock>(detail::LargeBlock::take(size_));
    block->write(0, bytes());
    block_ = block.release();
    heap_.reset();
  } else {
    block_->resize(size_);
  }
  begin_ = block_->bytes().data();
  capacity_ = size_;
  return *block_;
}

detail::LargeBlock Outgoing::take_block() {
  detail::LargeBlock taken = std::move(block());
  drop_block();
  return taken;
}

void Outgoing::drop_block() noexcept {
  if (!block_) return;
  delete std::exchange(block_, nullptr);
  begin_ = nullptr;
  size_ = capacity_ = 0;
}

void Outgoing::grow(std::size_t size) {
  const std::size_t capacity = std::max(size_ + size, std::max<std::size_t>(256, 2 * capacity_));
  auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
  if (size_ != 0) std::memcpy(larger.get(), begin_, size_);
  heap_ = std::move(larger);
  begin_ = heap_.get();
  capacity_ = capacity;
}

Incoming::Incoming(std::span<const std::byte> bytes, const detail::LargeBlock& block, std::vector<OwnedFd> descriptors) noexcept
    : rest_{bytes}, block_{&block}, descriptors_{std::move(descriptors)} {}

Incoming Incoming::from_block(const detail::LargeBlock& block, std::vector<OwnedFd> descriptors) noexcept {
  return Incoming{block.bytes(), block, std::move(descriptors)};
}

void Incoming::read_block(void* to, std::span<const std::byte> bytes) const {
  block_->read(static_cast<std::size_t>(bytes.data() - block_->bytes().data()), to, bytes.size());
}

OwnedFd Incoming::take_descriptor() {
  if (taken_ == descriptors_.size())
    throw ProtocolError{"receiving a value: it needs descriptor " + std::to_string(taken_ + 1) + ", and " +
                        std::to_string(descriptors_.size()) + " came with it"};
  return std::move(descriptors_[taken_++]);
}

void Incoming::fail_truncated(std::size_t wanted) const {
  throw ProtocolError{"receiving a value: it needs " + std::to_string(wanted) + " more bytes, and " +
                      std::to_string(rest_.size()) + " are left; was it sent as another type?"};
}

void Transfer<OwnedFd>::send(Outgoing& out, const OwnedFd& fd) {
  const bool there = static_cast<bool>(fd);
  out.write(&there, 1);
  if (there) out.attach(fd.get());
}

OwnedFd Transfer<OwnedFd>::receive(Incoming& in) {
  return in.view(1)[0] == std::byte{0} ? OwnedFd{} : in.take_descriptor();
}

}  // namespace weft::process
