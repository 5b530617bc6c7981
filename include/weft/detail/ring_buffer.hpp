#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace weft::detail {

/// Items in a circle that somebody else makes larger, outside his lock. Not thread-safe.
template <class T>
class RingBuffer {
  struct Release {
    void operator()(T* memory) const noexcept { ::operator delete(memory, std::align_val_t{alignof(T)}); }
  };

 public:
  struct Memory {
    std::unique_ptr<T, Release> slots;
    std::size_t capacity = 0;
  };

  RingBuffer() = default;
  RingBuffer(const RingBuffer&) = delete;
  RingBuffer& operator=(const RingBuffer&) = delete;
  ~RingBuffer() {
    while (!empty()) pop();
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] bool full() const noexcept { return size_ == memory_.capacity; }
  [[nodiscard]] T& front() noexcept { return slot(0); }

  /// Not full. If the move throws, nothing has changed.
  void push(T&& item) {
    ::new (static_cast<void*>(&slot(size_))) T(std::move(item));
    ++size_;
  }
  void pop() noexcept {
    std::destroy_at(&front());
    if (++first_ == memory_.capacity) first_ = 0;
    --size_;
  }

  /// Twice as large, at least four; never beyond `bound` (0: none).
  [[nodiscard]] std::size_t grown_capacity(std::size_t bound) const noexcept {
    const std::size_t doubled = std::max<std::size_t>(memory_.capacity * 2, 4);
    return bound == 0 ? doubled : std::min(doubled, bound);
  }
  [[nodiscard]] static Memory allocate(std::size_t capacity) {
    auto* raw = static_cast<T*>(::operator new(capacity * sizeof(T), std::align_val_t{alignof(T)}));
    return {std::unique_ptr<T, Release>{raw}, capacity};
  }
  /// Moves in, if it is larger than what there is (another may have been faster). `memory` is then the old one. An item whose
  /// move may throw is copied instead when it can be, as std::vector does.
  void adopt(Memory& memory) {
    if (memory.capacity <= memory_.capacity) return;
    std::size_t moved = 0;
    try {
      for (; moved < size_; ++moved) {
        ::new (static_cast<void*>(memory.slots.get() + moved)) T(std::move_if_noexcept(slot(moved)));
      }
    } catch (...) {
      std::destroy_n(memory.slots.get(), moved);
      throw;
    }
    for (std::size_t i = 0; i < size_; ++i) std::destroy_at(&slot(i));
    std::swap(memory_, memory);
    first_ = 0;
  }

  void swap(RingBuffer& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(first_, other.first_);
    std::swap(size_, other.size_);
  }

 private:
  [[nodiscard]] T& slot(std::size_t index) noexcept {
    std::size_t at = first_ + index;
    if (at >= memory_.capacity) at -= memory_.capacity;
    return memory_.slots.get()[at];
  }

  Memory memory_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weft::detail
