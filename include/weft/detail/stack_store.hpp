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

  StackStore() = default;
  StackStore(const StackStore&) = delete;
  StackStore& operator=(const StackStore&) = delete;
  ~StackStore() {
    while (size_ != 0) memory_.destroy(--size_);
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] bool full() const noexcept { return size_ == memory_.capacity(); }

  void push(Source item) {
    memory_.make(size_, std::in_place, std::move(*item));
    ++size_;
  }
  void pop_into(std::optional<T>& target) {
    target.emplace(std::move(memory_[size_ - 1].item()));
    memory_.destroy(--size_);
  }
  static void hand_over(Source item, std::optional<T>& target) { target.emplace(std::move(*item)); }

  [[nodiscard]] std::size_t grown(std::size_t bound) const noexcept { return memory_.grown(bound); }
  void adopt(Memory& memory) noexcept {
    if (memory.capacity() <= memory_.capacity()) return;
    for (std::size_t i = 0; i < size_; ++i) memory_.relocate(i, memory.at(i));
    std::swap(memory_, memory);
  }
  [[nodiscard]] StackStore fresh() const { return {}; }
  void swap(StackStore& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
  }

 private:
  Memory memory_;
  std::size_t size_ = 0;
};

}  // namespace weft::detail
