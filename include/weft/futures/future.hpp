#pragma once

#include <chrono>
#include <concepts>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/detail/future_state.hpp>

namespace weft {

template <class R>
class Future;

namespace detail {

/// What select() waits for at a future: its end.
class DoneWay : public Selectable {
 public:
  explicit DoneWay(FutureState& future) : future_{future} {}
  bool try_now() override { return future_.done(); }
  bool enlist() noexcept override { return future_.enlist(entry); }
  void withdraw() noexcept override { future_.withdraw(entry); }

 private:
  FutureState& future_;
};

/// A callable of the user's, called with a handle.
template <class R, class F>
class DoneCallback final : public DoneHook {
 public:
  explicit DoneCallback(F callable) : callable_(std::move(callable)) {}
  void on_done(FutureState& state) noexcept override {
    try {
      state.retain();
      Future<R> handle{static_cast<FutureResult<R>&>(state)};
      callable_(handle);
    } catch (...) {
      report_callback_failure(std::current_exception());
    }
    delete this;
  }

 private:
  F callable_;
};

struct FutureAccess;

}  // namespace detail

/// The result of work that runs elsewhere: wait for it, take it, learn why there is none, call the work off.
///
/// Semantics:     after Python concurrent.futures.Future. Differs: get() moves the value out, once, while result() may be asked
///                for as often as one likes; kill() also ends work that runs.
/// Handles:       can be moved, not copied; dropping one changes nothing, the work goes on and its callbacks are called.
/// Thread-safety: distinct handles from anywhere, though not get() while another refers to the value by result(); one handle
///                by one caller at a time, except that cancel(), kill(), done(), running(), cancelled() and
///                add_done_callback() may be called while others wait.
/// Blocking:      get, result, exception and wait park the calling fiber, or the thread when called outside one. They throw
///                Cancelled when the caller is killed, and DeadlockError when the work waits, perhaps in the line of a
///                pool whose workers all wait, for the caller.
/// Ordering:      all that the work did is visible after the wait.
/// Throws:        what the work threw, unchanged; CancelledError when it was cancelled; InvalidStateError on an empty handle.
/// Cost:          one allocation for work, result and handle together; a check of one word when it is done.
template <class R>
class Future {
 public:
  Future() = default;
  Future(Future&& other) noexcept : state_{std::exchange(other.state_, nullptr)} {}
  Future& operator=(Future&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Future() {
    if (state_) state_->release();
  }

  /// Waits, and moves the value out: the next call throws InvalidStateError. A failure is thrown each time.
  R get() {
    (void)state().wait_until(Deadline::never());
    return state().take();
  }
  /// Nothing, or false for void: not done in time.
  template <class Rep, class Period>
  [[nodiscard]] auto get_for(std::chrono::duration<Rep, Period> timeout) {
    return get_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] auto get_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return get_until(Deadline::at(point));
  }
  [[nodiscard]] auto get_until(Deadline deadline) {
    const bool in_time = state().wait_until(deadline);
    if constexpr (std::is_void_v<R>) {
      if (in_time) state().take();
      return in_time;
    } else if constexpr (std::is_reference_v<R>) {
      return in_time ? &state().take() : nullptr;
    } else {
      return in_time ? std::optional<R>{state().take()} : std::nullopt;
    }
  }
  [[nodiscard]] auto try_get() { return get_until(Deadline::already()); }

  /// Waits, and refers to the value, which lives as long as there is a handle.
  typename detail::FutureResult<R>::Reference result() {
    (void)state().wait_until(Deadline::never());
    return state().view();
  }

  /// Waits: what the work threw, or nothing. Throws: CancelledError.
  [[nodiscard]] std::exception_ptr exception() {
    (void)state().wait_until(Deadline::never());
    if (state().cancelled()) state().throw_failure();
    return state().failure();
  }

  /// Waits for the end, however it ends.
  void wait() { (void)state().wait_until(Deadline::never()); }
  /// False: not done in time.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> timeout) {
    return state().wait_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool wait_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return state().wait_until(Deadline::at(point));
  }
  [[nodiscard]] bool wait_until(Deadline deadline) { return state().wait_until(deadline); }

  [[nodiscard]] bool done() const { return state().done(); }
  [[nodiscard]] bool running() const { return state().running(); }
  [[nodiscard]] bool cancelled() const { return state().cancelled(); }
  [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }

  /// Calls the work off, unless it has begun: false then. What it held is released in here.
  bool cancel() { return state().cancel(); }
  /// The same; work that has begun gets Cancelled thrown by the blocking call it is in, or the next one, and counts as cancelled if
  /// it ends by that. Returns at once. Work in another process or without blocking calls is not reached.
  void kill() { state().kill(); }

  /// Calls callable(Future<R>&) with a handle of its own at the end, in the context that ends it (a worker, or whoever cancels it);
  /// at once, in the caller, if it is done. Several are called in the order of their coming, after those that wait have
  /// been woken. One that throws is reported on stderr, and harms nobody.
  template <class F>
    requires std::invocable<std::decay_t<F>&, Future&>
  void add_done_callback(F&& callable) {
    state().link(*new detail::DoneCallback<R, std::decay_t<F>>{std::forward<F>(callable)});
  }

  /// A case of select(): ready when done, however; get() tells how.
  template <class F>
  [[nodiscard]] auto on_done(F callable) const {
    return detail::SelectCase<detail::DoneWay, F>{std::move(callable), state()};
  }

 private:
  friend struct detail::FutureAccess;
  template <class, class>
  friend class detail::DoneCallback;

  explicit Future(detail::FutureResult<R>& adopted) noexcept : state_{&adopted} {}

  detail::FutureResult<R>& state() const {
    if (!state_) detail::throw_empty_future();
    return *state_;
  }

  detail::FutureResult<R>* state_ = nullptr;
};

namespace detail {
/// What weft's own headers may do with handles.
struct FutureAccess {
  template <class R>
  [[nodiscard]] static Future<R> adopt(FutureResult<R>& state) noexcept {
    return Future<R>{state};
  }
  template <class R>
  [[nodiscard]] static FutureResult<R>& state(const Future<R>& future) {
    return future.state();
  }
};

// For wait() over objects of several kinds (weft/fiber/wait.hpp).
template <class R, class F>
auto ready_case(Future<R>& future, F callable) {
  return future.on_done(std::move(callable));
}

template <class T>
inline constexpr bool is_future = false;
template <class R>
inline constexpr bool is_future<Future<R>> = true;

template <class T>
struct ResultOfFuture;
template <class R>
struct ResultOfFuture<Future<R>> {
  using Type = R;
};
/// R, of Future<R>.
template <class T>
using ResultOf = typename ResultOfFuture<T>::Type;
}  // namespace detail

}  // namespace weft
