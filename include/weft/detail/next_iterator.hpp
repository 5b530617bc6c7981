#pragma once

#include <cstddef>
#include <iterator>
#include <type_traits>
#include <utility>

namespace weft::detail {

/// The iterator of a range to go through once, made of its next(): a pointer, or an optional, that is empty at the end.
template <class Of>
class NextIterator {
  using Item = decltype(std::declval<Of&>().next());

 public:
  using value_type = std::remove_cvref_t<decltype(*std::declval<Item&>())>;
  using difference_type = std::ptrdiff_t;

  NextIterator() = default;
  explicit NextIterator(Of& of) : of_{&of}, item_{of.next()} {}
  value_type& operator*() const { return *item_; }
  value_type* operator->() const { return &*item_; }
  NextIterator& operator++() {
    item_ = of_->next();
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const NextIterator& it, std::default_sentinel_t) noexcept { return !it.item_; }

 private:
  Of* of_ = nullptr;
  mutable Item item_{};
};

}  // namespace weft::detail
