#pragma once

#include <exception>
#include <type_traits>
#include <utility>

#include <weft/futures/future.hpp>

namespace weft {

namespace detail {

/// A result that somebody sets.
template <class R>
class PromisedResult final : public FutureResult<R> {
 public:
  PromisedResult() : FutureResult<R>{1} {}
  template <class F>
  void set(F&& make) {
    this->keep(std::forward<F>(make));
  }
};

[[noreturn]] void throw_promise_kept();
[[nodiscard]] std::exception_ptr broken_promise();

}  // namespace detail

/// The other end of a Future, for those who make one come true by other means than an executor: an answer from a network,
/// a callback of a C library.
///
/// Semantics:     after std::promise and Python's Future.set_result. A promise that is dropped unkept fails its future with
///                CancelledError. cancel() of the future makes set_value and set_exception do nothing, and return false.
/// Thread-safety: one promise by one caller at a time; from anywhere.
/// Blocking:      never; but callbacks of the future run in here.
template <class R>
class Promise {
 public:
  Promise() : state_{new detail::PromisedResult<R>} {}
  Promise(Promise&& other) noexcept : state_{std::exchange(other.state_, nullptr)}, kept_{other.kept_} {}
  Promise& operator=(Promise&& other) noexcept {
    std::swap(state_, other.state_);
    std::swap(kept_, other.kept_);
    return *this;
  }
  ~Promise() {
    if (!state_) return;
    if (!kept_) (void)state_->fail_unbegun(detail::broken_promise());
    state_->release();
  }

  /// A handle; each call gives another.
  [[nodiscard]] Future<R> future() {
    state().retain();
    return detail::FutureAccess::adopt<R>(state());
  }

  /// False: it was cancelled before. Throws: InvalidStateError when it has been kept; what moving the value throws, kept as failure.
  template <class... V>
  bool set_value(V&&... value) {
    static_assert(sizeof...(V) == (std::is_void_v<R> ? 0 : 1), "set_value() takes one value, or none if it is void");
    keep();
    if (!state_->begin(nullptr)) return false;
    try {
      state_->set([&]() -> R {
        if constexpr (!std::is_void_v<R>) return (std::forward<V>(value), ...);
      });
    } catch (...) {
      state_->fail(std::current_exception());
    }
    state_->publish();
    return true;
  }
  bool set_exception(std::exception_ptr why) {
    keep();
    return state_->fail_unbegun(std::move(why));
  }
  template <class E>
    requires(!std::is_same_v<std::decay_t<E>, std::exception_ptr>)
  bool set_exception(E&& why) {
    return set_exception(std::make_exception_ptr(std::forward<E>(why)));
  }

 private:
  detail::PromisedResult<R>& state() {
    if (!state_) detail::throw_empty_future();
    return *state_;
  }
  void keep() {
    (void)state();
    if (kept_) detail::throw_promise_kept();
    kept_ = true;
  }

  detail::PromisedResult<R>* state_;
  bool kept_ = false;
};

}  // namespace weft
