#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include <weft/detail/slots.hpp>

namespace weft::detail {

// What a QueueCore asks of a store. Not thread-safe: used under the list bit.
//
//   Value                        what get() returns
//   Source                       refers to what a put brings; cheap to copy
//   Memory, grown(bound)         room that is made outside the bit, when full(), and brought in by adopt()
//   push(source)                 not full. If it throws, nothing has changed
//   pop_into(target)             not empty. If it throws, nothing has changed
//   hand_over(source, target)    as if pushed and popped; static. If it throws, the source is what it was
//   fresh(), swap(other)         another one of its kind, empty; to take all items at once

/// First in, first out: a circle.
template <class T>
class RingStore {
 public:
  using Value = T;
  using Source = T*;
  using Memory = SlotMemory<Slot<T>>;

  RingStore() = default;
  RingStore(const RingStore&) = delete;
  RingStore& operator=(const RingStore&) = delete;
  ~RingStore() {
    for (; size_ != 0; --size_) {
      memory_.destroy(first_);
      advance();
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] bool full() const noexcept { return size_ == memory_.capacity(); }

  void push(Source item) {
    memory_.make(index(size_), std::in_place, std::move(*item));
    ++size_;
  }
  void pop_into(std::optional<T>& target) {
    target.emplace(std::move(memory_[first_].item()));
    memory_.destroy(first_);
    advance();
    --size_;
  }
  static void hand_over(Source item, std::optional<T>& target) { target.emplace(std::move(*item)); }

  [[nodiscard]] std::size_t grown(std::size_t bound) const noexcept { return memory_.grown(bound); }
  /// If it is larger than what there is: another may have been faster. `memory` is then the old one.
  void adopt(Memory& memory) noexcept {
    if (memory.capacity() <= memory_.capacity()) return;
    for (std::size_t i = 0; i < size_; ++i) memory_.relocate(index(i), memory.at(i));
    std::swap(memory_, memory);
    first_ = 0;
  }
  [[nodiscard]] RingStore fresh() const { return {}; }
  void swap(RingStore& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(first_, other.first_);
    std::swap(size_, other.size_);
  }

 private:
  [[nodiscard]] std::size_t index(std::size_t offset) const noexcept {
    const std::size_t at = first_ + offset;
    return at < memory_.capacity() ? at : at - memory_.capacity();
  }
  void advance() noexcept {
    if (++first_ == memory_.capacity()) first_ = 0;
  }

  Memory memory_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace weft::detail
