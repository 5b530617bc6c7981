#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include <weft/detail/slots.hpp>

namespace weft::detail {

/// Last in, first out. What a store is: see ring_store.hpp.
template <class T>
class StackStore {
 public:
  using Value = T;
  using Source = T*;
  using Memory = SlotMemory<Slot<T>>;
  static constexpr bool kTwoSided = false;
  struct Tail {};
  struct Head {};

  [[nodiscard]] std::size_t capacity() const noexcept { return memory_.capacity(); }
  [[nodiscard]] std::size_t grown(std::size_t bound) const noexcept { return memory_.grown(bound); }

  void push(Tail, Source item) {
    memory_.make(size_, std::in_place, std::move(*item));
    ++size_;
  }
  void pop_into(Head, std::optional<T>& target) {
    target.emplace(std::move(memory_[size_ - 1].item()));
    memory_.destroy(--size_);
  }
  static void hand_over(Source item, std::optional<T>& target) { target.emplace(std::move(*item)); }

  void adopt(Memory& memory, Head, Tail, std::size_t) noexcept {
    if (memory.capacity() <= capacity()) return;
    for (std::size_t i = 0; i < size_; ++i) memory_.relocate(i, memory.at(i));
    std::swap(memory_, memory);
  }
  [[nodiscard]] StackStore fresh() const { return {}; }
  void swap(StackStore& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
  }
  void clear(Head, std::size_t) noexcept {
    while (size_ != 0) memory_.destroy(--size_);
  }

 private:
  Memory memory_;
  std::size_t size_ = 0;
};

}  // namespace weft::detail
