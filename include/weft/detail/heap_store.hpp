#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <weft/detail/slots.hpp>

namespace weft::detail {

template <class Priority, class Item>
struct HeapSource {
  const Priority* priority;
  Item* item;
};

template <class Priority, class Item>
struct HeapNode {
  HeapNode(HeapSource<Priority, Item> source, std::uint64_t its_number)
      : priority{std::in_place, *source.priority}, item{std::in_place, std::move(*source.item)}, number{its_number} {}
  Slot<Priority> priority;
  Slot<Item> item;
  std::uint64_t number;  // of its coming
};

/// Smallest priority first, equal ones in the order of their coming. What a store is: see ring_store.hpp.
///
/// A binary heap that may be compared by code that throws: what has to move is found out first, by comparing only, then
/// it moves, which cannot fail. `Entry` is an aggregate of a priority and an item, in this order.
template <class Entry, class Compare>
class HeapStore : public DenseStore<HeapNode<decltype(Entry::priority), decltype(Entry::item)>> {
  using Priority = decltype(Entry::priority);
  using Item = decltype(Entry::item);
  using Node = HeapNode<Priority, Item>;
  using Base = DenseStore<Node>;
  using Base::memory_;
  using Base::size_;

 public:
  using Value = Entry;
  using Source = HeapSource<Priority, Item>;
  using typename Base::Head;
  using typename Base::Tail;

  explicit HeapStore(Compare less = {}) : less_{std::move(less)} {}

  void push(Tail, Source source) {
    // The youngest: it passes only those that are greater.
    std::size_t place = size_;
    while (place != 0 && less_(*source.priority, priority_at(parent(place)))) place = parent(place);
    Node node{source, next_number_};
    ++next_number_;
    for (std::size_t hole = size_; hole != place; hole = parent(hole)) memory_.relocate(parent(hole), memory_.at(hole));
    memory_.make(place, std::move(node));
    ++size_;
  }

  void pop_into(Head, std::optional<Entry>& target) {
    const Path path = path_of_last();
    target.emplace(priority_at(0), std::move(memory_[0].item.item()));  // in this order: the item's move comes last
    drop_first(path);
  }
  [[nodiscard]] Entry pop(Head) {
    const Path path = path_of_last();
    Entry entry{priority_at(0), std::move(memory_[0].item.item())};
    drop_first(path);
    return entry;
  }

  static void hand_over(Source source, std::optional<Entry>& target) {
    target.emplace(*source.priority, std::move(*source.item));
  }

  [[nodiscard]] HeapStore fresh() const { return HeapStore{less_}; }

 private:
  /// A way down from the root: bit `level` tells left from right.
  struct Path {
    std::uint64_t turns = 0;
    unsigned length = 0;
  };

  [[nodiscard]] static std::size_t parent(std::size_t index) noexcept { return (index - 1) / 2; }
  [[nodiscard]] static std::size_t child_on(Path path, unsigned level, std::size_t index) noexcept {
    return 2 * index + 1 + (path.turns >> level & 1);
  }
  [[nodiscard]] const Priority& priority_at(std::size_t index) { return memory_[index].priority.item(); }

  [[nodiscard]] bool before(std::size_t a, std::size_t b) {
    if (less_(priority_at(a), priority_at(b))) return true;
    return memory_[a].number < memory_[b].number && !less_(priority_at(b), priority_at(a));
  }

  /// Where the last node goes when the root is gone: below those that come before it.
  [[nodiscard]] Path path_of_last() {
    Path path;
    const std::size_t last = size_ - 1;
    for (std::size_t at = 0;; ++path.length) {
      std::size_t child = 2 * at + 1;
      if (child >= last) return path;
      const bool right = child + 1 < last && before(child + 1, child);
      child += right;
      if (!before(child, last)) return path;
      path.turns |= std::uint64_t{right} << path.length;
      at = child;
    }
  }

  void drop_first(Path path) noexcept {
    memory_.destroy(0);
    --size_;
    std::size_t hole = 0;
    for (unsigned level = 0; level < path.length; ++level) {
      const std::size_t child = child_on(path, level, hole);
      memory_.relocate(child, memory_.at(hole));
      hole = child;
    }
    if (hole != size_) memory_.relocate(size_, memory_.at(hole));
  }

  std::uint64_t next_number_ = 0;
  [[no_unique_address]] Compare less_;
};

}  // namespace weft::detail
