#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/detail/generator_frame.hpp>

namespace weft {

/// A function that yields values one after the other, each when it is asked for: its body contains co_yield.
///
///     weft::Generator<int> squares(int n) { for (int i = 0; i < n; ++i) co_yield i * i; }
///     for (int s : squares(10)) use(s);
///
/// Y is what it yields, a value or a reference. S is what it is sent: `co_yield x` is then a std::optional<S>, empty
/// when it was resumed by next() or by a loop; with void it has no value. R is what it returns at its end: the value
/// of `co_yield elements_of(...)` in a generator that has delegated to it, and result() otherwise.
///
/// Parameters are copied into the generator as any function's; references among them, and a lambda with its captures,
/// must outlive it.
///
/// Semantics:     after Python's generators, and std::generator as a range: an input range and a view that is moved.
///                A loop goes on where the generator stands. The end is distinct from any value: next() is empty.
///                What the body throws comes out of the call that resumed it, and ends the generator. A generator
///                that is destroyed half-way destroys the variables of its body, innermost first; no handler of it
///                runs. One that was moved from has ended.
/// Thread-safety: one caller at a time; these may be different threads and fibers. A generator that is asked to go on
///                while it runs, by itself or by others, throws InvalidStateError; it must not be destroyed then.
/// Blocking:      as its body does, which is code of the caller: it may block, and is then killed with the caller.
/// Cost:          a few nanoseconds per value, however deep the delegation; one allocation for a call of the
///                function, unless the compiler finds that it can do without.
template <class Y, class S = void, class R = void>
class [[nodiscard]] Generator : public std::ranges::view_interface<Generator<Y, S, R>> {
  static_assert(!std::is_void_v<Y>, "a generator yields something");
  static_assert(std::is_reference_v<Y> || std::is_same_v<Y, std::remove_cv_t<Y>>, "yield a value without const");
  static_assert(std::is_void_v<S> || std::is_same_v<S, std::remove_cvref_t<S>>,
                "what is sent is a value: send a pointer instead of a reference");
  static_assert(!std::is_reference_v<R>, "return a pointer instead of a reference");

 public:
  using promise_type = detail::GeneratorPromise<Y, S, R>;
  /// What next(), send() and throw_() give: the value or nothing. For references, a pointer or null.
  using Item = std::conditional_t<std::is_reference_v<Y>, std::add_pointer_t<Y>, std::optional<Y>>;

  class Iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::remove_cvref_t<Y>;
    using difference_type = std::ptrdiff_t;

    Iterator(Iterator&& other) noexcept = default;
    Iterator& operator=(Iterator&& other) noexcept = default;

    /// The value may be moved from: `Y&&`, or the reference that is yielded.
    [[nodiscard]] detail::Yielded<Y> operator*() const noexcept {
      return static_cast<detail::Yielded<Y>>(*frame_->value());
    }
    Iterator& operator++() {
      (void)frame_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    [[nodiscard]] friend bool operator==(const Iterator& at, std::default_sentinel_t) noexcept {
      return !at.frame_->value();
    }

   private:
    friend Generator;
    explicit Iterator(detail::GeneratorFrame<Y, S>* frame) noexcept : frame_{frame} {}
    detail::GeneratorFrame<Y, S>* frame_;
  };

  Generator() noexcept = default;
  Generator(Generator&& other) noexcept : handle_{std::exchange(other.handle_, nullptr)} {}
  Generator& operator=(Generator&& other) noexcept {
    Generator taken{std::move(other)};  // first: `other` may be a variable of the one that is destroyed next
    std::swap(handle_, taken.handle_);
    return *this;
  }
  ~Generator() {
    if (!handle_) return;
    handle_.promise().end_delegates();
    handle_.destroy();
  }

  /// Goes on to the next value, as every loop over it does; a second loop begins there.
  [[nodiscard]] Iterator begin() {
    if (!handle_) throw InvalidStateError{"begin: this Generator is empty: it was moved from"};
    (void)handle_.promise().advance();
    return Iterator{&handle_.promise()};
  }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

  /// The next value; nothing: it has ended.
  Item next() { return item(handle_ && handle_.promise().advance()); }

  /// The co_yield it stands at gives `value`; goes on to the next co_yield, whose value this is. An ended one takes
  /// nothing.
  /// Throws: InvalidStateError before the first next(): there is no co_yield yet to receive it.
  template <class Sent = S>
    requires(!std::is_void_v<S> && std::is_convertible_v<Sent, S>)
  Item send(Sent&& value) {
    S sent(std::forward<Sent>(value));
    return item(handle_ && handle_.promise().send(sent));
  }

  /// The co_yield it stands at throws; goes on to the next co_yield, if that is caught. One that has not begun ends
  /// by this without running.
  /// Throws: whatever comes out of the body, so the same exception if nobody catches it there, or if it has ended.
  Item throw_(std::exception_ptr exception) {
    if (!exception) throw InvalidStateError{"throw_: this std::exception_ptr holds no exception"};
    if (!handle_) std::rethrow_exception(std::move(exception));
    return item(handle_.promise().throw_(std::move(exception)));
  }
  template <class E>
    requires(!std::is_same_v<std::remove_cvref_t<E>, std::exception_ptr>)
  Item throw_(E&& exception) {
    return throw_(std::make_exception_ptr(std::forward<E>(exception)));
  }

  /// Ends it: the co_yield it stands at throws GeneratorExit, which runs its handlers and destructors and is
  /// swallowed here. One that has not begun ends without running. Does nothing when it has ended.
  /// Throws: what the body throws instead; InvalidStateError when it yields once more.
  void close() {
    if (handle_) handle_.promise().close();
  }

  /// Whether it has ended: by returning, by an exception, by close().
  [[nodiscard]] bool done() const noexcept { return !handle_ || handle_.promise().done(); }

  /// What it returned, once; nothing before that, or when it ended in another way.
  [[nodiscard]] std::optional<R> result()
    requires(!std::is_void_v<R>)
  {
    return handle_ ? std::exchange(handle_.promise().result, std::nullopt) : std::nullopt;
  }

 private:
  friend promise_type;
  template <class, class, class>
  friend class detail::Delegation;

  explicit Generator(std::coroutine_handle<promise_type> handle) noexcept : handle_{handle} {}

  Item item(bool yielded) {
    if (!yielded) return Item{};
    if constexpr (std::is_reference_v<Y>) {
      return handle_.promise().value();
    } else {
      return Item{std::in_place, std::move(*handle_.promise().value())};
    }
  }

  std::coroutine_handle<promise_type> handle_;
};

/// `co_yield elements_of(other)`: Python's `yield from`. Yields what `other` yields, a generator of the same Y and S
/// or any other input range, until its end.
///
/// What is sent to or thrown into the outer generator meanwhile arrives in the innermost, and what that one throws
/// comes out of this co_yield, whose value is what it returned (R, as a std::optional since it may have ended
/// before). A value sent while a plain range is gone through is an InvalidStateError, as nobody receives it.
///
/// A generator may have begun before, and go on alone if the outer one is destroyed; until then it throws
/// InvalidStateError when asked directly. One passed as an lvalue must outlive the delegation.
template <class Elements>
[[nodiscard]] detail::ElementsOf<Elements> elements_of(Elements&& elements) noexcept {
  return {std::forward<Elements>(elements)};
}

}  // namespace weft
