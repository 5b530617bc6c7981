#pragma once

#include <cstddef>
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

  LinkedStore() = default;
  LinkedStore(const LinkedStore&) = delete;
  LinkedStore& operator=(const LinkedStore&) = delete;
  ~LinkedStore() {
    while (first_) delete pop();
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] bool full() const noexcept { return false; }

  void push(Source node) noexcept {
    (last_ ? last_->next : first_) = node;
    last_ = node;
    ++size_;
  }
  void pop_into(std::optional<Value>& target) noexcept { target.emplace(pop()); }
  static void hand_over(Source node, std::optional<Value>& target) noexcept { target.emplace(node); }

  [[nodiscard]] std::size_t grown(std::size_t) const noexcept { return 0; }
  void adopt(Memory&) noexcept {}
  [[nodiscard]] LinkedStore fresh() const { return {}; }
  void swap(LinkedStore& other) noexcept {
    std::swap(first_, other.first_);
    std::swap(last_, other.last_);
    std::swap(size_, other.size_);
  }

 private:
  Node* pop() noexcept {
    Node* node = first_;
    first_ = node->next;
    if (!first_) last_ = nullptr;
    --size_;
    return node;
  }

  Node* first_ = nullptr;
  Node* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace weft::detail
