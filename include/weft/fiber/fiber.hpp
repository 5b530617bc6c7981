#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/detail/selectable.hpp>
#include <weft/detail/task.hpp>

namespace weft {

/// Names a link of a fiber, for Fiber::unlink().
enum class LinkId : std::uint64_t {};

namespace detail {
struct FiberAccess;

/// What select() waits for at a fiber: its end.
class EndWay : public Selectable {
 public:
  explicit EndWay(Task& task) : task_{task} {}
  bool try_now() override { return task_.done(); }
  bool enlist() noexcept override { return task_.enlist(entry); }
  void withdraw() noexcept override { task_.withdraw(entry); }

 protected:
  template <class F>
  void finish(F& callable) {
    task_.take_notice();
    callable();
  }

 private:
  Task& task_;
};
}  // namespace detail

/// The handle of a spawned fiber: wait for its end, take its result, ask it to end.
///
/// Semantics:     after gevent.Greenlet; differs: dropping the handle changes nothing, the fiber runs on. One that then
///                ends with an exception is reported on stderr, with its name.
/// Thread-safety: distinct handles from anywhere; one handle by one caller at a time, except that kill(), done(), id()
///                and name() may be called while others wait.
/// Links:         functions to be called at the end, once each, in the order in which they were given, with the handle
///                of the fiber that has ended. They run in that fiber, before those are let go who wait for its end;
///                those given after that, at once in the caller. They may block, and so keep the others waiting. What
///                they throw is reported on stderr and harms nobody. A link that is told of a failure counts as waiting
///                for it. A fiber that was killed has failed, with CancelledError.
/// Blocking:      join and get park the calling fiber, or the thread when called outside one.
/// Ordering:      all that the fiber did is visible after join() or get().
/// Cost:          spawn and join about a tenth of a microsecond; a fiber that waits, one page of memory and a little.
template <class R>
class Fiber {
 public:
  Fiber() = default;
  explicit Fiber(detail::TaskResult<R>& task) noexcept : task_{&task} {}
  Fiber(Fiber&& other) noexcept : task_{std::exchange(other.task_, nullptr)} {}
  Fiber& operator=(Fiber&& other) noexcept {
    std::swap(task_, other.task_);
    return *this;
  }
  ~Fiber() {
    if (task_) task_->release();
  }

  /// Waits for the end, however the fiber ends; get() tells how. Throws Cancelled when the caller is killed meanwhile.
  void join() { (void)task().join_until(Deadline::never()); }

  /// Waits at most so long. False: it runs on.
  template <class Rep, class Period>
  [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> timeout) {
    return task().join_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool join_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return task().join_until(Deadline::at(point));
  }
  [[nodiscard]] bool join_until(Deadline deadline) { return task().join_until(deadline); }

  /// A case of select(): ready when the fiber has ended, however; get() tells how.
  template <class F>
  [[nodiscard]] auto on_end(F callable) const {
    return detail::SelectCase<detail::EndWay, F>{std::move(callable), task()};
  }

  /// Waits for the end and returns the value, once: the handle is empty afterwards.
  /// Throws: what the fiber threw; CancelledError when it was killed; InvalidStateError on an empty handle.
  R get() {
    (void)task().join_until(Deadline::never());
    Fiber taken = std::move(*this);
    taken.task_->throw_failure();
    return taken.task_->take();
  }

  /// Whether it has ended: done() under gevent's name.
  [[nodiscard]] bool ready() const { return done(); }
  /// Whether it has ended with a value: by returning.
  [[nodiscard]] bool successful() const { return task().ended() && task().succeeded(); }
  /// The value it has ended with, where get() will take it from; null before the end, and if it failed.
  [[nodiscard]] auto value() const
    requires(!std::is_void_v<R>)
  {
    return task().ended() ? task().value() : nullptr;
  }
  /// What it has ended with instead of a value, as get() would throw it; null before the end, and if there is a value.
  /// Counts as waiting for it.
  [[nodiscard]] std::exception_ptr exception() const {
    if (!task().ended() || task().succeeded()) return nullptr;
    task().take_notice();
    return task().failure();
  }

  /// Calls callable(const Fiber<R>&) at the end, however it ends.
  template <std::invocable<const Fiber&> F>
  LinkId rawlink(F callable) {
    return add_link(detail::LinkFor::AnyEnd, std::move(callable));
  }
  /// If it ends with a value.
  template <std::invocable<const Fiber&> F>
  LinkId link_value(F callable) {
    return add_link(detail::LinkFor::Value, std::move(callable));
  }
  /// If it fails, or is killed.
  template <std::invocable<const Fiber&> F>
  LinkId link_exception(F callable) {
    return add_link(detail::LinkFor::Failure, std::move(callable));
  }
  /// Takes it back. False: it is being called, or has been.
  bool unlink(LinkId link) { return task().unlink(static_cast<std::uint64_t>(link)); }

  /// Asks the fiber to end: its next blocking call, or the one it is in, throws Cancelled there and unwinds its stack.
  /// One that has not begun ends without running. Returns at once; join() to see it end. Does nothing when it has
  /// ended.
  void kill() { task().kill(); }

  /// The same, and waits for the end.
  void kill_and_join() {
    kill();
    join();
  }
  /// False: it runs on, after so long.
  template <class Rep, class Period>
  [[nodiscard]] bool kill_and_join_for(std::chrono::duration<Rep, Period> timeout) {
    kill();
    return join_for(timeout);
  }

  [[nodiscard]] bool done() const { return task().ended(); }
  [[nodiscard]] bool valid() const noexcept { return task_ != nullptr; }
  [[nodiscard]] std::uint64_t id() const { return task().id(); }
  /// "Fiber-ID" unless set.
  [[nodiscard]] std::string name() const { return task().name(); }
  void set_name(std::string name) { task().set_name(std::move(name)); }

 private:
  friend struct detail::FiberAccess;

  template <class F>
  LinkId add_link(detail::LinkFor whom, F callable) {
    return LinkId{task().link(whom, [f = std::move(callable)](detail::Task& ended) mutable {
      ended.take_notice();
      ended.retain();
      const Fiber handle{static_cast<detail::TaskResult<R>&>(ended)};
      std::invoke(f, handle);
    })};
  }

  detail::TaskResult<R>& task() const {
    if (!task_) throw InvalidStateError{"this Fiber handle is empty: its value was taken, or it was moved from"};
    return *task_;
  }

  detail::TaskResult<R>* task_ = nullptr;
};

namespace detail {
/// What weft's own headers may ask of a handle.
struct FiberAccess {
  template <class R>
  static Task& task(const Fiber<R>& fiber) {
    return fiber.task();
  }
  /// Another handle.
  template <class R>
  static Fiber<R> share(const Fiber<R>& fiber) {
    fiber.task().retain();
    return Fiber<R>{fiber.task()};
  }
};

template <class T>
inline constexpr bool is_fiber = false;
template <class R>
inline constexpr bool is_fiber<Fiber<R>> = true;

template <class Range>
concept FiberRange = std::ranges::input_range<Range> && is_fiber<std::remove_cvref_t<std::ranges::range_reference_t<Range>>>;
}  // namespace detail

/// Asks for the first failure to be thrown where it would otherwise stay with its fiber.
struct RaiseError {};
inline constexpr RaiseError raise_error{};

/// Waits for all of them to end.
template <class... R>
void join_all(Fiber<R>&... fibers) {
  (fibers.join(), ...);
}
template <class... R>
void join_all(Fiber<R>&&... fibers) {
  (fibers.join(), ...);
}
template <std::ranges::input_range Fibers>
void join_all(Fibers&& fibers) {
  for (auto& fiber : fibers) fiber.join();
}

/// Waits for all of a range to end, at most so long in all. False: some run on.
template <std::ranges::input_range Fibers, class Rep, class Period>
[[nodiscard]] bool join_all(Fibers&& fibers, std::chrono::duration<Rep, Period> timeout) {
  const Deadline deadline = Deadline::after(timeout);
  bool all = true;
  for (auto& fiber : fibers) all = fiber.join_until(deadline) && all;
  return all;
}

/// Asks all of them to end, as Fiber::kill() does. Returns at once.
template <detail::FiberRange Fibers>
void kill_all(Fibers&& fibers) {
  for (auto& fiber : fibers) fiber.kill();
}
/// The same, and waits for all, at most so long in all. False: some run on.
template <detail::FiberRange Fibers, class Rep, class Period>
[[nodiscard]] bool kill_all(Fibers&& fibers, std::chrono::duration<Rep, Period> timeout) {
  const Deadline deadline = Deadline::after(timeout);
  for (auto& fiber : fibers) fiber.kill();
  bool all = true;
  for (auto& fiber : fibers) all = fiber.join_until(deadline) && all;
  return all;
}

}  // namespace weft
