#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace weft {

template <class Signature>
class UniqueFunction;

/// A callable held by one owner: what std::function is, for callables that can only be moved.
///
/// Semantics:     after std::move_only_function (C++23); calling an empty one throws std::bad_function_call. Made of a null pointer it is
///                empty.
/// Thread-safety: distinct objects may be used at once; one object as its callable allows.
/// Cost:          callables of up to four pointers that move without throwing are stored in place, others on the heap.
template <class R, class... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() = default;
  UniqueFunction(std::nullptr_t) {}

  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, UniqueFunction> && std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
  UniqueFunction(F&& callable) {
    using Callable = std::decay_t<F>;
    if constexpr (std::is_pointer_v<std::remove_cvref_t<F>> || std::is_member_pointer_v<Callable>) {
      if (callable == nullptr) return;
    }
    if constexpr (fits<Callable>) {
      ::new (&storage_) Callable(std::forward<F>(callable));
      operations_ = &kInPlace<Callable>;
    } else {
      ::new (&storage_) Callable*(new Callable(std::forward<F>(callable)));
      operations_ = &kOnHeap<Callable>;
    }
  }

  UniqueFunction(UniqueFunction&& other) noexcept { take(other); }
  UniqueFunction& operator=(UniqueFunction&& other) noexcept {
    UniqueFunction taken{std::move(other)};  // first: `other` may be part of what is destroyed next
    reset();
    take(taken);
    return *this;
  }
  ~UniqueFunction() { reset(); }

  explicit operator bool() const noexcept { return operations_ != nullptr; }

  R operator()(Args... args) {
    if (!operations_) throw std::bad_function_call{};
    return operations_->call(&storage_, std::forward<Args>(args)...);
  }

 private:
  struct Operations {
    R (*call)(void*, Args&&...);
    void (*move)(void* from, void* to) noexcept;
    void (*destroy)(void*) noexcept;
  };

  struct alignas(std::max_align_t) Storage {
    std::byte bytes[4 * sizeof(void*)];
  };

  template <class Callable>
  static constexpr bool fits = sizeof(Callable) <= sizeof(Storage) && alignof(Callable) <= alignof(Storage) &&
                               std::is_nothrow_move_constructible_v<Callable>;

  template <class Callable>
  static R invoke(Callable& callable, Args&&... args) {
    if constexpr (std::is_void_v<R>) {
      std::invoke(callable, std::forward<Args>(args)...);
    } else {
      return std::invoke(callable, std::forward<Args>(args)...);
    }
  }

  template <class Callable>
  static constexpr Operations kInPlace{
      [](void* at, Args&&... args) -> R {
        return invoke(*std::launder(static_cast<Callable*>(at)), std::forward<Args>(args)...);
      },
      [](void* from, void* to) noexcept {
        Callable* source = std::launder(static_cast<Callable*>(from));
        ::new (to) Callable(std::move(*source));
        std::destroy_at(source);
      },
      [](void* at) noexcept { std::destroy_at(std::launder(static_cast<Callable*>(at))); }};

  template <class Callable>
  static constexpr Operations kOnHeap{
      [](void* at, Args&&... args) -> R {
        return invoke(**std::launder(static_cast<Callable**>(at)), std::forward<Args>(args)...);
      },
      [](void* from, void* to) noexcept { ::new (to) Callable*(*std::launder(static_cast<Callable**>(from))); },
      [](void* at) noexcept { delete *std::launder(static_cast<Callable**>(at)); }};

  void take(UniqueFunction& other) noexcept {
    operations_ = std::exchange(other.operations_, nullptr);
    if (operations_) operations_->move(&other.storage_, &storage_);
  }

  void reset() noexcept {
    if (operations_) std::exchange(operations_, nullptr)->destroy(&storage_);
  }

  const Operations* operations_ = nullptr;
  Storage storage_;
};

}  // namespace weft
