#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <weft/process/parcel.hpp>
#include <weft/process/shared_memory.hpp>

namespace weft::process {

/// What a ShareableList holds one of: None, a bool, an int of 64 bits, a float, a str or bytes, in Python's words.
///
/// Errors: std::out_of_range: an integer that has more than 64 bits with its sign.
class ShareableItem {
 public:
  using Bytes = std::vector<std::byte>;
  using Variant = std::variant<std::monostate, bool, std::int64_t, double, std::string, Bytes>;

  /// None.
  ShareableItem(std::nullptr_t = nullptr) noexcept {}
  template <std::same_as<bool> Bool>
  ShareableItem(Bool value) noexcept : value_{value} {}
  template <std::integral Int>
    requires(!std::same_as<Int, bool>)
  ShareableItem(Int value) : value_{static_cast<std::int64_t>(value)} {
    if (!std::in_range<std::int64_t>(value)) throw std::out_of_range{"a ShareableList holds integers of 64 bits with their sign"};
  }
  template <std::floating_point Float>
  ShareableItem(Float value) noexcept : value_{static_cast<double>(value)} {}
  ShareableItem(std::string text) noexcept : value_{std::move(text)} {}
  ShareableItem(std::string_view text) : value_{std::string{text}} {}
  ShareableItem(const char* text) : value_{std::string{text}} {}
  ShareableItem(Bytes bytes) noexcept : value_{std::move(bytes)} {}
  ShareableItem(std::span<const std::byte> bytes) : value_{Bytes{bytes.begin(), bytes.end()}} {}

  [[nodiscard]] const Variant& variant() const noexcept { return value_; }
  [[nodiscard]] bool is_none() const noexcept { return std::holds_alternative<std::monostate>(value_); }
  /// bool, std::int64_t, double, std::string or Bytes. Throws std::bad_variant_access: it is another of them.
  template <class T>
  [[nodiscard]] const T& get() const {
    return std::get<T>(value_);
  }

  /// As Python compares: numbers by their value, whatever their type is.
  friend bool operator==(const ShareableItem& left, const ShareableItem& right);
  /// As Python shows it: None, True, 7, 2.5, 'text', b'bytes'.
  [[nodiscard]] std::string repr() const;

 private:
  Variant value_;
};

/// A list of values in shared memory, whose length is fixed, and for each item the room that it had at first: Python's ShareableList, byte
/// for byte, so that Python programs (3.9 and later) and weft's use the same list.
///
/// Semantics:     after Python's ShareableList: indices count from the end when they are negative; a string is given its UTF-8
///                length, rounded up to a multiple of 8 that is larger, and loses NULs at its end; an item may be overwritten by any
///                type, and by text that fits its room. Differs: anonymous by default; the room for text is counted in bytes and
///                not in characters, so that text is never cut.
/// Thread-safety: there is no lock in it, as in Python: who reads while another writes may see half of it. Use a process::Lock.
/// Blocking:      never waits for anybody.
/// Errors:        std::out_of_range: no such index; std::invalid_argument: text that is too long for its room, or for any
///                (10,000,000 bytes), is not UTF-8, or is not in the list; ProtocolError: the memory holds no such list, as Python 3.8 made them or none;
///                OSError as SharedMemory.
class ShareableList {
 public:
  class Reference;
  class Iterator;

  /// In anonymous memory.
  ShareableList(std::initializer_list<ShareableItem> items) : ShareableList{std::span{items.begin(), items.size()}} {}
  explicit ShareableList(std::span<const ShareableItem> items);
  /// In named memory; an empty name is made up. Options as of SharedMemory.
  [[nodiscard]] static ShareableList create(std::string_view name, std::span<const ShareableItem> items,
                                            SharedMemoryOptions options = {});
  [[nodiscard]] static ShareableList create(std::string_view name, std::initializer_list<ShareableItem> items,
                                            SharedMemoryOptions options = {}) {
    return create(name, std::span{items.begin(), items.size()}, options);
  }
  [[nodiscard]] static ShareableList attach(std::string_view name) { return ShareableList{SharedMemory::attach(name)}; }
  /// One that is in this memory.
  explicit ShareableList(SharedMemory memory);
  // A handle, as the memory is.
  ShareableList(const ShareableList&) = default;
  ShareableList& operator=(const ShareableList&) = default;

  [[nodiscard]] std::size_t size() const noexcept { return offsets_.size() - 1; }
  [[nodiscard]] ShareableItem get(std::ptrdiff_t index) const;
  void set(std::ptrdiff_t index, const ShareableItem& item);
  /// list[i] = item, or the item.
  [[nodiscard]] Reference operator[](std::ptrdiff_t index);
  [[nodiscard]] ShareableItem operator[](std::ptrdiff_t index) const { return get(index); }
  [[nodiscard]] std::vector<ShareableItem> items() const;
  [[nodiscard]] Iterator begin() const noexcept;
  [[nodiscard]] Iterator end() const noexcept;

  [[nodiscard]] std::size_t count(const ShareableItem& item) const;
  /// Of the first one. Throws std::invalid_argument: there is none.
  [[nodiscard]] std::size_t index(const ShareableItem& item) const;
  /// In the words of Python's struct module, of one or all, as they are stored now.
  [[nodiscard]] std::string format(std::ptrdiff_t index) const;
  [[nodiscard]] std::string format() const;

  /// Where it is, to be closed or unlinked.
  [[nodiscard]] SharedMemory& memory() noexcept { return memory_; }
  [[nodiscard]] const SharedMemory& memory() const noexcept { return memory_; }
  [[nodiscard]] const std::string& name() const noexcept { return memory_.name(); }

 private:
  [[nodiscard]] std::size_t position(std::ptrdiff_t index, const char* operation) const;
  [[nodiscard]] std::size_t room(std::size_t position) const noexcept { return offsets_[position + 1] - offsets_[position]; }
  [[nodiscard]] std::span<std::byte> place(std::size_t position) const;
  [[nodiscard]] std::span<std::byte> bytes(std::size_t offset, std::size_t size) const;
  [[nodiscard]] std::size_t formats() const noexcept { return 8 * (size() + 2) + offsets_.back(); }
  [[nodiscard]] std::string format_at(std::size_t position) const;
  void store(std::size_t position, const ShareableItem& item, const std::string& format);
  void read_offsets();

  SharedMemory memory_;
  std::vector<std::size_t> offsets_{0};  // of the items, and where the last one ends; checked, and fixed from then on
};

/// list[i], to be read or assigned to.
class ShareableList::Reference {
 public:
  operator ShareableItem() const { return list_->get(index_); }
  template <class T>
  [[nodiscard]] T get() const {
    return ShareableItem{*this}.template get<T>();
  }
  Reference& operator=(const ShareableItem& item) {
    list_->set(index_, item);
    return *this;
  }
  Reference& operator=(const Reference& other) { return *this = ShareableItem{other}; }
  Reference(const Reference&) = default;
  friend bool operator==(const Reference& left, const ShareableItem& right) { return ShareableItem{left} == right; }

 private:
  friend class ShareableList;
  Reference(ShareableList& list, std::ptrdiff_t index) noexcept : list_{&list}, index_{index} {}

  ShareableList* list_;
  std::ptrdiff_t index_;
};

/// Gives each item as it is read.
class ShareableList::Iterator {
 public:
  using value_type = ShareableItem;
  using difference_type = std::ptrdiff_t;
  using iterator_category = std::input_iterator_tag;
  using reference = ShareableItem;
  using pointer = void;

  Iterator() noexcept = default;
  [[nodiscard]] ShareableItem operator*() const { return list_->get(index_); }
  Iterator& operator++() noexcept {
    ++index_;
    return *this;
  }
  Iterator operator++(int) noexcept { return {list_, index_++}; }
  friend bool operator==(const Iterator&, const Iterator&) = default;

 private:
  friend class ShareableList;
  Iterator(const ShareableList* list, std::ptrdiff_t index) noexcept : list_{list}, index_{index} {}

  const ShareableList* list_ = nullptr;
  std::ptrdiff_t index_ = 0;
};

inline ShareableList::Reference ShareableList::operator[](std::ptrdiff_t index) {
  (void)position(index, "of an item");
  return {*this, index};
}
inline ShareableList::Iterator ShareableList::begin() const noexcept { return {this, 0}; }
inline ShareableList::Iterator ShareableList::end() const noexcept { return {this, static_cast<std::ptrdiff_t>(size())}; }

template <>
struct Transfer<ShareableList> {
  static void send(Outgoing& out, const ShareableList& list) { Transfer<SharedMemory>::send(out, list.memory()); }
  static ShareableList receive(Incoming& in) { return ShareableList{Transfer<SharedMemory>::receive(in)}; }
};

}  // namespace weft::process
