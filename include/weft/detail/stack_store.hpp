#pragma once

#include <optional>
#include <utility>

#include <weft/detail/slots.hpp>

namespace weft::detail {

/// Last in, first out. What a store is: see ring_store.hpp.
template <class T>
class StackStore : public DenseStore<Slot<T>> {
  using Base = DenseStore<Slot<T>>;

 public:
  using Value = T;
  using Source = T*;
  using typename Base::Head;
  using typename Base::Tail;

  void push(Tail, Source item) {
    this->memory_.make(this->size_, std::in_place, std::move(*item));
    ++this->size_;
  }
  void pop_into(Head, std::optional<T>& target) {
    target.emplace(std::move(this->memory_[this->size_ - 1].item()));
    this->memory_.destroy(--this->size_);
  }
  [[nodiscard]] T pop(Head) {
    T item(std::move(this->memory_[this->size_ - 1].item()));
    this->memory_.destroy(--this->size_);
    return item;
  }
  static void hand_over(Source item, std::optional<T>& target) { target.emplace(std::move(*item)); }
  [[nodiscard]] StackStore fresh() const { return {}; }
};

}  // namespace weft::detail
