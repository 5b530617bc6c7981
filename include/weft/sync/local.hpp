#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include <weft/base/unique_function.hpp>
#include <weft/detail/locals.hpp>

namespace weft {

/// A value of which each thread and each fiber has its own.
///
/// Semantics:     after Python threading.local and gevent.local, with one T in the place of attributes. A context gets
///                its value when it first uses it: a default one, or what the initializer returns. The value is destroyed
///                when the context ends, also by a kill, before anybody who joins it goes on, the youngest of a
///                context's values first; or else when the Local is. A fiber keeps its value when it changes workers. In
///                a child of fork() the caller keeps its values; those of other contexts are left as they are.
///                Destructors of values may block, which nothing interrupts then, and may use Locals: their own one still
///                gives the value that is being destroyed, another one, if need be, a fresh value, which is destroyed too.
///                What destructors make anew more than four times stays until its Local goes.
/// Thread-safety: every method, from any thread or fiber; destroy only when nobody uses it any more. A global one is
///                destroyed as the program ends: where fibers or threads may still run then, let it be a static reference
///                to an object that is never deleted. The main thread's values are destroyed with their Locals.
/// Blocking:      as T's constructor and destructor do.
/// Cost:          a few nanoseconds for a value that exists; one allocation for a value. A context's table has room
///                for as many Locals as existed when the youngest it uses was made. Contexts that use none pay nothing.
/// Errors:        what the initializer throws; the next use tries again. InvalidStateError for use after its end.
template <class T>
class Local {
 public:
  Local()
    requires std::default_initializable<T>
      : key_{detail::open_local()} {}
  /// `initializer` is called by each context for itself, so perhaps by several at once; it may block.
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, Local> && std::is_invocable_r_v<T, std::decay_t<F>&>)
  explicit Local(F&& initializer) : initializer_{std::forward<F>(initializer)}, key_{detail::open_local()} {}
  Local(const Local&) = delete;
  Local& operator=(const Local&) = delete;
  ~Local() { detail::close_local(key_); }

  /// The caller's value; made if it has none. The reference is good as long as the value.
  [[nodiscard]] T& operator*() {
    detail::LocalValue* found = detail::find_local(key_);
    return found ? static_cast<Value*>(found)->value : make();
  }
  [[nodiscard]] T* operator->() { return &**this; }

  /// Whether the caller has one; makes none.
  [[nodiscard]] bool has_value() const noexcept { return detail::find_local(key_) != nullptr; }
  /// Destroys the caller's value, if it has one. The next use makes another.
  void reset() noexcept { (void)detail::drop_local(key_); }

 private:
  struct Value final : detail::LocalValue {
    Value() = default;
    explicit Value(UniqueFunction<T()>& initializer) : value(initializer()) {}

    T value{};
  };

  [[gnu::noinline]] T& make() {
    std::unique_ptr<Value> made;
    if constexpr (std::default_initializable<T>) {
      if (!initializer_) made = std::make_unique<Value>();
    }
    if (initializer_) made = std::make_unique<Value>(initializer_);
    return static_cast<Value&>(detail::keep_local(key_, std::move(made))).value;
  }

  UniqueFunction<T()> initializer_;
  detail::LocalKey key_;
};

}  // namespace weft
