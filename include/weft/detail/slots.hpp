#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace weft::detail {

/// An item as a store keeps it: moving it never throws. An item whose own move may throw is moved twice only, in and
/// out, and rests in memory of its own meanwhile.
template <class T>
class InlineSlot {
 public:
  template <class... Args>
  explicit InlineSlot(std::in_place_t, Args&&... args) : item_(std::forward<Args>(args)...) {}
  [[nodiscard]] T& item() noexcept { return item_; }

 private:
  T item_;
};

template <class T>
class BoxedSlot {
 public:
  template <class... Args>
  explicit BoxedSlot(std::in_place_t, Args&&... args) : item_{std::make_unique<T>(std::forward<Args>(args)...)} {}
  [[nodiscard]] T& item() noexcept { return *item_; }

 private:
  std::unique_ptr<T> item_;
};

template <class T>
using Slot = std::conditional_t<std::is_nothrow_move_constructible_v<T>, InlineSlot<T>, BoxedSlot<T>>;

/// Raw memory for so many S. Whoever uses it knows which of them exist.
template <class S>
class SlotMemory {
 public:
  SlotMemory() = default;
  explicit SlotMemory(std::size_t capacity)
      : slots_{static_cast<S*>(::operator new(capacity * sizeof(S), std::align_val_t{alignof(S)}))},
        capacity_{capacity} {}
  SlotMemory(SlotMemory&& other) noexcept
      : slots_{std::exchange(other.slots_, nullptr)}, capacity_{std::exchange(other.capacity_, 0)} {}
  SlotMemory& operator=(SlotMemory&& other) noexcept {
    std::swap(slots_, other.slots_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~SlotMemory() { ::operator delete(slots_, std::align_val_t{alignof(S)}); }

  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] S* at(std::size_t index) noexcept { return slots_ + index; }
  [[nodiscard]] S& operator[](std::size_t index) noexcept { return slots_[index]; }

  template <class... Args>
  void make(std::size_t index, Args&&... args) {
    ::new (static_cast<void*>(at(index))) S(std::forward<Args>(args)...);
  }
  void destroy(std::size_t index) noexcept { std::destroy_at(at(index)); }
  /// Moves one to where none is, here or in other memory.
  void relocate(std::size_t index, S* to) noexcept {
    static_assert(std::is_nothrow_move_constructible_v<S>);
    ::new (static_cast<void*>(to)) S(std::move(slots_[index]));
    destroy(index);
  }

  /// The next capacity: twice as large, at least four; never beyond `bound` (0: none).
  [[nodiscard]] std::size_t grown(std::size_t bound) const noexcept {
    const std::size_t doubled = std::max<std::size_t>(capacity_ * 2, 4);
    return bound == 0 ? doubled : std::min(doubled, bound);
  }

 private:
  S* slots_ = nullptr;
  std::size_t capacity_ = 0;
};

/// What stores have in common that keep their items at the beginning of their memory: see ring_store.hpp.
template <class S>
class DenseStore {
 public:
  using Memory = SlotMemory<S>;
  static constexpr bool kTwoSided = false;
  struct Tail {};
  struct Head {};

  [[nodiscard]] std::size_t capacity() const noexcept { return memory_.capacity(); }
  [[nodiscard]] std::size_t grown(std::size_t bound) const noexcept { return memory_.grown(bound); }
  void adopt(Memory& memory, Head, Tail, std::size_t) noexcept {
    if (memory.capacity() <= capacity()) return;
    for (std::size_t i = 0; i < size_; ++i) memory_.relocate(i, memory.at(i));
    std::swap(memory_, memory);
  }
  void swap(DenseStore& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
  }
  void clear(Head, std::size_t) noexcept {
    while (size_ != 0) memory_.destroy(--size_);
  }

 protected:
  Memory memory_;
  std::size_t size_ = 0;
};

}  // namespace weft::detail
