#pragma once

#include <cstdint>
#include <iterator>
#include <ranges>
#include <string>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/detail/selectable.hpp>
#include <weft/detail/task.hpp>

namespace weft {

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
/// Thread-safety: distinct handles from anywhere; one handle by one caller at a time, except that kill(), done(), id() and
///                name() may be called while others wait.
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

  /// Asks the fiber to end: its next blocking call, or the one it is in, throws Cancelled there and unwinds its stack. One that
  /// has not begun ends without running. Returns at once; join() to see it end. Does nothing when it has ended.
  void kill() { task().kill(); }

  [[nodiscard]] bool done() const { return task().done(); }
  [[nodiscard]] bool valid() const noexcept { return task_ != nullptr; }
  [[nodiscard]] std::uint64_t id() const { return task().id(); }
  /// "Fiber-ID" unless set.
  [[nodiscard]] std::string name() const { return task().name(); }
  void set_name(std::string name) { task().set_name(std::move(name)); }

 private:
  friend struct detail::FiberAccess;

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
};
}  // namespace detail

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

}  // namespace weft
