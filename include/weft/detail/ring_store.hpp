#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include <weft/detail/slots.hpp>

namespace weft::detail {

// What a QueueCore asks of a store. Not thread-safe: used under the list bits. The core counts the items.
//
//   Value                        what get() returns
//   Source                       refers to what a put brings; cheap to copy
//   kTwoSided                    push() and pop_into() may run at once, if there is an item, and room, between them
//   Tail, Head                   what push() and pop_into() change, kept where the core wants it
//   Memory, grown(), capacity()  room that is made outside the bits, and brought in by adopt() if it is larger than
//                                what there is (another may have been faster); `memory` is then the old one
//   push(tail, source)           there is room. If it throws, nothing has changed
//   pop_into(head, target)       there is an item. If it throws, nothing has changed
//   pop(head)                    the same, as the value: the item is moved once only, to where the caller wants it
//   hand_over(source, target)    as if pushed and popped; static. If it throws, the source is what it was
//   fresh(), swap(other)         another one of its kind, empty; to take all items at once
//   clear(head, count)           destroys the items

/// First in, first out: a circle.
template <class T>
class RingStore {
 public:
  using Value = T;
  using Source = T*;
  using Memory = SlotMemory<Slot<T>>;
  static constexpr bool kTwoSided = true;
  struct Tail {
    std::size_t index = 0;
  };
  struct Head {
    std::size_t index = 0;
  };

  [[nodiscard]] std::size_t capacity() const noexcept { return memory_.capacity(); }
  [[nodiscard]] std::size_t grown(std::size_t bound) const noexcept { return memory_.grown(bound); }

  void push(Tail& tail, Source item) {
    memory_.make(tail.index, std::in_place, std::move(*item));
    tail.index = after(tail.index);
  }
  void pop_into(Head& head, std::optional<T>& target) {
    target.emplace(std::move(memory_[head.index].item()));
    drop(head);
  }
  [[nodiscard]] T pop(Head& head) {
    T item(std::move(memory_[head.index].item()));
    drop(head);
    return item;
  }
  static void hand_over(Source item, std::optional<T>& target) { target.emplace(std::move(*item)); }

  void adopt(Memory& memory, Head& head, Tail& tail, std::size_t count) noexcept {
    if (memory.capacity() <= capacity()) return;
    for (std::size_t i = 0; i < count; ++i) {
      memory_.relocate(head.index, memory.at(i));
      head.index = after(head.index);
    }
    std::swap(memory_, memory);
    head.index = 0;
    tail.index = count;
  }
  [[nodiscard]] RingStore fresh() const { return {}; }
  void swap(RingStore& other) noexcept { std::swap(memory_, other.memory_); }
  void clear(Head& head, std::size_t count) noexcept {
    for (; count != 0; --count) drop(head);
  }

 private:
  void drop(Head& head) noexcept {
    memory_.destroy(head.index);
    head.index = after(head.index);
  }
  [[nodiscard]] std::size_t after(std::size_t index) const noexcept { return index + 1 == capacity() ? 0 : index + 1; }

  Memory memory_;
};

}  // namespace weft::detail
