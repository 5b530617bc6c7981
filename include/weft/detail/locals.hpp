#pragma once

// What contexts have of their own: the values of Locals, and the table by which a context finds its. Headers of weft only.

#include <cstdint>
#include <memory>

#include <weft/detail/context.hpp>

namespace weft::detail {

/// A value of one Local that belongs to one context. Destroyed by whoever unlinks it from the Local's list: the context,
/// when it ends, or the end of the Local.
struct LocalValue {
  LocalValue() = default;
  LocalValue(const LocalValue&) = delete;
  LocalValue& operator=(const LocalValue&) = delete;
  virtual ~LocalValue() = default;

  LocalValue* next = nullptr;
  LocalValue* previous = nullptr;
  bool linked = false;
  std::uint32_t process = 0;  // where its context lives
};

/// A Local as contexts that end may still see it, when it has gone: never freed, but used again.
struct LocalRecord;

/// A Local's place in the tables of all contexts. The place is used again by later Locals, the serial number is not.
struct LocalKey {
  static constexpr std::uint64_t kClosed = ~std::uint64_t{0};

  LocalRecord* record = nullptr;
  std::uint32_t index = 0;
  std::uint64_t serial = kClosed;
};

/// A context's values by their Locals' places; used by that context alone.
class LocalTable {
 public:
  [[nodiscard]] LocalValue* find(const LocalKey& key) const noexcept {
    return key.index < size_ && slots_[key.index].serial == key.serial ? slots_[key.index].value : nullptr;
  }

  void keep(const LocalKey& key, LocalValue& value);
  /// Destroys the value; meanwhile it is still found. False: there is none, or it is being destroyed already.
  bool drop(const LocalKey& key) noexcept;
  /// Destroys all values, the youngest first, and those that their destructors make. Those that such destructors make again
  /// and again stay with their Locals.
  void drop_all() noexcept;
  /// In a forked child: they live here now.
  void move_to_this_process() noexcept;

 private:
  struct Slot {
    std::uint64_t serial = 0;  // 0: empty
    LocalValue* value = nullptr;
    LocalRecord* record = nullptr;
    std::uint64_t made = 0;  // in which order
  };

  [[nodiscard]] Slot* youngest(std::uint64_t made_before) noexcept;

  std::unique_ptr<Slot[]> slots_;
  std::uint32_t size_ = 0;
  std::uint64_t made_ = 0;
};

[[nodiscard]] LocalKey open_local();
/// Destroys its values, but those of contexts that a forked process did not take along. Nothing is found by `key` any more.
void close_local(LocalKey& key) noexcept;

/// The calling context's value, or null.
[[nodiscard]] inline LocalValue* find_local(const LocalKey& key) noexcept {
  const LocalTable* table = current_context().locals;
  return table ? table->find(key) : nullptr;
}
/// Makes it the calling context's value, unless it has one by now; returns the one that it has.
LocalValue& keep_local(const LocalKey& key, std::unique_ptr<LocalValue> value);
bool drop_local(const LocalKey& key) noexcept;

}  // namespace weft::detail
