#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <new>
#include <ranges>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <weft/detail/locked_memory.hpp>
#include <weft/detail/shared_type.hpp>
#include <weft/process/ctype.hpp>

namespace weft::process {

namespace detail {

[[noreturn]] void fail_array_index(std::size_t size, std::ptrdiff_t index);
[[noreturn]] void fail_array_text(std::size_t size, std::size_t text);
/// Python's rules for one end of a slice: from the end when negative, cut to what there is.
[[nodiscard]] inline std::size_t slice_end(std::size_t size, std::ptrdiff_t index) noexcept {
  const auto length = static_cast<std::ptrdiff_t>(size);
  return static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(index < 0 ? index + length : index, 0, length));
}

}  // namespace detail

/// A fixed number of elements in shared memory, and a lock to guard them.
///
/// It goes to other processes by its descriptor, whatever its size is: the elements are neither copied nor sent. An Array is a handle:
/// copies, the children of fork() and whoever is sent one share the elements.
///
/// Semantics:     after Python multiprocessing.Array: made of a length (zeros) or of values, in round or curly brackets as
///                std::vector; its lock is an RLock, `no_lock` is lock=False, and a lock of one's own may be given. Differs: elements
///                are reached as those of a std::span, without taking the lock. Where others write at the same time, hold it:
///                    { std::scoped_lock guard{scores}; scores[i] += 1; }
///                T is any trivially copyable type without pointers; Python's type codes are ctype<'i'> and so on.
/// Death:         a process that ends while it holds the lock: the next one acquires it, and get_lock().owner_died() says so.
/// Thread-safety: locking, from anywhere; the elements are as those of an array that threads share.
/// Blocking:      locking as RLock; nothing else. Making one takes time for each page of it.
/// Errors:        OSError when there is no memory or no descriptor to be had; at(): std::out_of_range; locking what was made with no_lock,
///                InvalidStateError.
/// Cost:          its memory and a descriptor, and those of the lock. An access costs what it does in a std::vector.
template <class T>
class Array : public detail::LockedMemory {
 public:
  using value_type = T;
  using iterator = T*;

  explicit Array(std::size_t count, std::source_location site = std::source_location::current())
      : Array(count, std::optional<RLock>(RLock(site))) {}
  Array(std::size_t count, NoLock) : Array(count, std::optional<RLock>()) {}
  Array(std::size_t count, const RLock& lock) : Array(count, std::optional<RLock>(lock)) {}

  Array(std::initializer_list<T> values, std::source_location site = std::source_location::current())
      : Array(std::span(values.begin(), values.size()), site) {}
  Array(std::initializer_list<T> values, NoLock) : Array(std::span(values.begin(), values.size()), no_lock) {}
  Array(std::initializer_list<T> values, const RLock& lock) : Array(std::span(values.begin(), values.size()), lock) {}

  /// Of the values of a range: a vector, a string, a view.
  template <std::ranges::sized_range Range>
    requires(!std::derived_from<Range, detail::LockedMemory>)
  explicit Array(const Range& values, std::source_location site = std::source_location::current())
      : Array(std::ranges::size(values), site) {
    std::ranges::copy(values, data());
  }
  template <std::ranges::sized_range Range>
  Array(const Range& values, NoLock) : Array(std::ranges::size(values), no_lock) {
    std::ranges::copy(values, data());
  }
  template <std::ranges::sized_range Range>
  Array(const Range& values, const RLock& lock) : Array(std::ranges::size(values), lock) {
    std::ranges::copy(values, data());
  }

  [[nodiscard]] std::size_t size() const noexcept { return count(); }
  [[nodiscard]] bool empty() const noexcept { return count() == 0; }
  [[nodiscard]] T* data() const noexcept { return std::launder(reinterpret_cast<T*>(begin_of_memory())); }
  [[nodiscard]] T* begin() const noexcept { return data(); }
  [[nodiscard]] T* end() const noexcept { return data() + count(); }
  [[nodiscard]] T& operator[](std::size_t index) const noexcept { return data()[index]; }
  /// Negative: from the end. Throws std::out_of_range.
  [[nodiscard]] T& at(std::ptrdiff_t index) const {
    const auto size = static_cast<std::ptrdiff_t>(count());
    const std::ptrdiff_t from_start = index < 0 ? index + size : index;
    if (from_start < 0 || from_start >= size) detail::fail_array_index(count(), index);
    return data()[from_start];
  }
  [[nodiscard]] std::span<T> span() const noexcept { return {data(), count()}; }
  /// The elements from `first` up to `last`, as array[first:last] in Python: negative ones count from the end, those that are not there
  /// are left out. The elements themselves, not a copy.
  [[nodiscard]] std::span<T> slice(std::ptrdiff_t first,
                                   std::ptrdiff_t last = std::numeric_limits<std::ptrdiff_t>::max()) const noexcept {
    const std::size_t from = detail::slice_end(count(), first);
    return span().subspan(from, std::max(detail::slice_end(count(), last), from) - from);
  }
  void fill(const T& value) const { std::ranges::fill(span(), value); }

  /// Of an Array<char>: the text up to the first NUL, under the lock.
  [[nodiscard]] std::string value() const
    requires std::same_as<T, char>
  {
    const Turn turn{*this};
    const std::string_view text{data(), count()};
    return std::string{text.substr(0, text.find('\0'))};
  }
  /// And a NUL if there is room for it. Throws std::invalid_argument: there is no room for the text.
  void set_value(std::string_view text)
    requires std::same_as<T, char>
  {
    if (text.size() > count()) detail::fail_array_text(count(), text.size());
    const Turn turn{*this};
    std::ranges::copy(text, data());
    if (text.size() < count()) data()[text.size()] = '\0';
  }

 private:
  friend struct Transfer<Array>;

  Array(std::size_t count, std::optional<RLock> lock) : LockedMemory{count, sizeof(T), std::move(lock)} {
    weft::detail::require_shareable<T>();
  }
  explicit Array(Incoming& in) : LockedMemory{in, sizeof(T)} { weft::detail::require_shareable<T>(); }
};

template <class T>
struct Transfer<Array<T>> {
  static void send(Outgoing& out, const Array<T>& array) { Array<T>::send(out, array); }
  static Array<T> receive(Incoming& in) { return Array<T>{in}; }
};

}  // namespace weft::process
