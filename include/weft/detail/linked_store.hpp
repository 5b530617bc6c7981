#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace weft::detail {

/// First in, first out, of items that bring their own memory: no code of theirs runs in here. What a store is: see
/// ring_store.hpp.
template <class T>
class LinkedStore {
 public:
  struct Node {
    explicit Node(T&& moved) : item(std::move(moved)) {}
    T item;
    Node* next = nullptr;
  };
  using Value = std::unique_ptr<Node>;
  using Source = Node*;  // owned by the store once it has been pushed
  struct Memory {
    explicit Memory(std::size_t) {}
  };
  static constexpr bool kTwoSided = false;
  struct Tail {};
  struct Head {};

  [[nodiscard]] static constexpr std::size_t capacity() noexcept { return SIZE_MAX; }
  [[nodiscard]] static constexpr std::size_t grown(std::size_t) noexcept { return 0; }

  void push(Tail, Source node) noexcept {
    (last_ ? last_->next : first_) = node;
    last_ = node;
  }
  void push_front(Source node) noexcept {
    node->next = first_;
    first_ = node;
    if (!last_) last_ = node;
  }
  void pop_into(Head, std::optional<Value>& target) noexcept { target.emplace(pop()); }
  static void hand_over(Source node, std::optional<Value>& target) noexcept { target.emplace(node); }

  void adopt(Memory&, Head, Tail, std::size_t) noexcept {}
  [[nodiscard]] LinkedStore fresh() const { return {}; }
  void swap(LinkedStore& other) noexcept {
    std::swap(first_, other.first_);
    std::swap(last_, other.last_);
  }
  void clear(Head, std::size_t) noexcept {
    while (first_) delete pop();
  }

 private:
  Node* pop() noexcept {
    Node* node = first_;
    first_ = node->next;
    if (!first_) last_ = nullptr;
    return node;
  }

  Node* first_ = nullptr;
  Node* last_ = nullptr;
};

}  // namespace weft::detail
