#pragma once

#include <atomic>
#include <cstddef>
#include <cstring>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

#include <weft/detail/locked_memory.hpp>
#include <weft/detail/shared_type.hpp>
#include <weft/process/ctype.hpp>

namespace weft::process {

namespace detail {
[[noreturn]] void fail_value_count(std::size_t count);
}  // namespace detail

/// One value in shared memory, with the lock that guards it.
///
///     process::Value<long> counter{0};
///     counter += 1;                                        // reads, then writes: what others did in between is lost
///     { std::scoped_lock guard{counter}; counter += 1; }   // nothing is lost
///     counter.update([](long old) { return old + 1; });    // nor here
///
/// A Value is a handle: copies, the children of fork() and whoever is sent one share one value.
///
/// Semantics:     after Python multiprocessing.Value: its lock is an RLock, which each read and each write takes by itself; `no_lock` is
///                lock=False, and a lock of one's own may be given, also one that guards several. T is any trivially copyable type without
///                pointers; Python's type codes are ctype<'i'> and so on.
/// Death:         a process that ends while it holds the lock: the next one acquires it, and get_lock().owner_died() says so.
/// Thread-safety: every method, from any thread or fiber of any process that has a handle. Without a lock too: reads and writes of up to
///                8 bytes are atomic then, larger ones may be torn.
/// Blocking:      with a lock, until it is free, as RLock; without one never.
/// Errors:        OSError when there is no memory or no descriptor to be had; locking what was made with no_lock, InvalidStateError.
/// Cost:          a page and a descriptor, and those of the lock. An access: that of taking the lock.
/// Example:       examples/shared_counter.cpp
template <class T>
class Value : public detail::LockedMemory {
 public:
  using value_type = T;

  explicit Value(T initial = T{}, std::source_location site = std::source_location::current())
      : Value(std::move(initial), std::optional<RLock>(RLock(site))) {}
  Value(T initial, NoLock) : Value(std::move(initial), std::optional<RLock>()) {}
  Value(T initial, const RLock& lock) : Value(std::move(initial), std::optional<RLock>(lock)) {}

  [[nodiscard]] T get() const {
    const Turn turn{*this};
    return load();
  }
  void set(const T& value) {
    const Turn turn{*this};
    store(value);
  }
  operator T() const { return get(); }
  Value& operator=(const T& value) {
    set(value);
    return *this;
  }

  /// Sets it to what `next` makes of what it was, as one step: under the lock; without one, by trying until nobody came in between, so
  /// that `next` may be called more than once. What it is now. `next` that throws changes nothing.
  template <class F>
  T update(F&& next) {
    if (has_lock()) {
      const Turn turn{*this};
      const T now = next(load());
      store(now);
      return now;
    }
    if constexpr (kExchangeable) {
      T before = load();
      for (;;) {
        const T now = next(std::as_const(before));
        if (std::atomic_ref<T>{*object()}.compare_exchange_weak(before, now)) return now;
      }
    } else {
      (void)get_lock();  // throws
      return T{};
    }
  }

  // Each reads, then writes: hold the lock, or use update(), where others write too.
  template <class U>
  Value& operator+=(const U& other) {
    return *this = static_cast<T>(get() + other);
  }
  template <class U>
  Value& operator-=(const U& other) {
    return *this = static_cast<T>(get() - other);
  }
  template <class U>
  Value& operator*=(const U& other) {
    return *this = static_cast<T>(get() * other);
  }

  /// In place, for the parts of a structure: without the lock, which the caller holds where it matters.
  [[nodiscard]] T& object_in_place() const noexcept { return *object(); }

 private:
  friend struct Transfer<Value>;

  // The alignment too: an atomic access is in one piece then.
  static constexpr bool kAtomic = [] {
    if constexpr (!std::is_trivially_copyable_v<T>)
      return false;  // refused, by another message
    else if constexpr (sizeof(T) == 1 || sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8)
      return std::atomic_ref<T>::is_always_lock_free;
    else
      return false;
  }();
  // Padding could differ for ever.
  static constexpr bool kExchangeable = kAtomic && (std::has_unique_object_representations_v<T> || std::is_floating_point_v<T>);

  Value(T initial, std::optional<RLock> lock) : LockedMemory{1, sizeof(T), std::move(lock)} {
    weft::detail::require_shareable<T>();
    ::new (begin_of_memory()) T(std::move(initial));
  }
  explicit Value(Incoming& in) : LockedMemory{in, sizeof(T)} {
    weft::detail::require_shareable<T>();
    if (count() != 1) detail::fail_value_count(count());
  }

  [[nodiscard]] T* object() const noexcept { return std::launder(reinterpret_cast<T*>(begin_of_memory())); }
  [[nodiscard]] T load() const noexcept {
    if constexpr (kAtomic)
      return std::atomic_ref<T>{*object()}.load();
    else
      return *object();
  }
  void store(const T& value) noexcept {
    if constexpr (kAtomic)
      std::atomic_ref<T>{*object()}.store(value);
    else
      *object() = value;
  }
};

template <class T>
struct Transfer<Value<T>> {
  static void send(Outgoing& out, const Value<T>& value) { Value<T>::send(out, value); }
  static Value<T> receive(Incoming& in) { return Value<T>{in}; }
};

}  // namespace weft::process
