#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/detail/next_iterator.hpp>
#include <weft/fiber/fiber.hpp>
#include <weft/queue/select.hpp>
#include <weft/queue/simple_queue.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/semaphore.hpp>
#include <weft/thread/thread.hpp>

namespace weft {

/// When a wait() is over, if not all that it waits for is ready: as soon as so many are, and at the latest then.
struct WaitLimits {
  Deadline until = Deadline::never();
  std::size_t count = SIZE_MAX;
};

namespace detail {

template <class Range>
using FiberOf = std::remove_reference_t<std::ranges::range_reference_t<Range>>;

/// Fibers of a range, in the order in which they end.
template <class F>
class EndWatch {
 public:
  template <class Range>
  explicit EndWatch(Range& fibers) {
    // A link may be running while this object goes: it keeps the queue.
    for (F& fiber : fibers) {
      watched_.push_back({&fiber});
      Task& task = FiberAccess::task(fiber);
      if (task.id() == current_context_id()) {
        throw InvalidStateError{"wait: fiber \"" + task.name() + "\" cannot wait for its own end"};
      }
      const std::size_t index = watched_.size() - 1;
      if (task.done()) {
        ended_->put(index);
      } else {
        watched_.back().link =
            task.link(LinkFor::AnyEnd, [ended = ended_, index](Task&) { ended->put(index); });
      }
    }
  }
  EndWatch(EndWatch&&) noexcept = default;
  EndWatch& operator=(EndWatch&&) = delete;
  ~EndWatch() {
    for (const Watched& watched : watched_) {
      if (watched.link != 0) FiberAccess::task(*watched.fiber).unlink(watched.link);
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return watched_.size(); }

  /// Null: all have been given out, or none has ended in time.
  F* next(Deadline deadline) {
    if (given_ == size()) return nullptr;
    const std::optional<std::size_t> index = ended_->get_until(deadline);
    if (!index) return nullptr;
    ++given_;
    watched_[*index].link = 0;
    FiberAccess::task(*watched_[*index].fiber).take_notice();
    return watched_[*index].fiber;
  }

 private:
  struct Watched {
    F* fiber;
    std::uint64_t link = 0;
  };

  std::shared_ptr<SimpleQueue<std::size_t>> ended_ = std::make_shared<SimpleQueue<std::size_t>>("wait");
  std::vector<Watched> watched_;
  std::size_t given_ = 0;
};

template <class R, class F>
auto ready_case(Fiber<R>& fiber, F callable) {
  return fiber.on_end(std::move(callable));
}
template <class F>
auto ready_case(Thread& thread, F callable) {
  return thread.on_end(std::move(callable));
}
template <class F>
auto ready_case(Event& event, F callable) {
  return event.on_set(std::move(callable));
}
// A permit is there: it is taken for a moment.
template <class F>
auto ready_case(Semaphore& semaphore, F callable) {
  return semaphore.on_acquire([&semaphore, f = std::move(callable)] {
    semaphore.release();
    f();
  });
}

/// Notes which object is ready.
struct NoteReady {
  std::vector<std::size_t>* ready;
  std::size_t index;
  void operator()() const { ready->push_back(index); }
};

template <class... Cases>
void select_in_turn(const WaitLimits& limits, Cases&&... cases) {
  SelectCase<TimeWay, void (*)()> time{[] {}, limits.until};
  Selectable* open[] = {&cases..., &time};
  std::size_t left = sizeof...(cases);
  for (std::size_t count = std::min(limits.count, left); count > 0; --count) {
    open[left] = &time;
    const std::size_t chosen = select_among(open, left + 1);
    if (chosen == left) return;
    open[chosen]->run();
    open[chosen] = open[--left];
  }
}

template <class T>
concept Waitable = requires(T& object) {
  ready_case(object, [] {});
};

}  // namespace detail

/// Waits until all of the fibers have ended, or as `limits` say. Pointers to those that have, in the order of their
/// ends.
///
///     for (weft::Fiber<int>* ended : weft::wait(fibers, {.until = weft::Deadline::after(2s), .count = 3})) ...
///
/// Semantics: after gevent.wait(). Any number of fibers. Throws: Cancelled when the caller is killed meanwhile.
/// Cost: two allocations for each fiber that has not ended.
template <detail::FiberRange Fibers>
requires std::is_lvalue_reference_v<std::ranges::range_reference_t<Fibers&>>
[[nodiscard]] std::vector<detail::FiberOf<Fibers&>*> wait(Fibers& fibers, WaitLimits limits = {}) {
  detail::EndWatch<detail::FiberOf<Fibers&>> watch{fibers};
  std::vector<detail::FiberOf<Fibers&>*> ended;
  const std::size_t count = std::min(limits.count, watch.size());
  while (ended.size() < count) {
    auto* const fiber = watch.next(limits.until);
    if (!fiber) break;
    ended.push_back(fiber);
  }
  return ended;
}
template <detail::FiberRange Fibers, class Rep, class Period>
requires std::is_lvalue_reference_v<std::ranges::range_reference_t<Fibers&>>
[[nodiscard]] std::vector<detail::FiberOf<Fibers&>*> wait(Fibers& fibers,
                                                          std::chrono::duration<Rep, Period> timeout) {
  return weft::wait(fibers, WaitLimits{.until = Deadline::after(timeout)});
}

/// The same for objects of any kind: fibers (ready when they have ended), threads (the same), events (when set),
/// semaphores (when they have a permit, which stays with them). The indices of those that are, in that order.
///
///     weft::wait({.count = 1}, worker, stop);
///
/// At most 127 objects, each of which must outlive the call.
template <detail::Waitable... Objects>
  requires(sizeof...(Objects) > 0 && sizeof...(Objects) < detail::kMostSelectCases)
std::vector<std::size_t> wait(WaitLimits limits, Objects&... objects) {
  std::vector<std::size_t> ready;
  ready.reserve(sizeof...(Objects));
  [&]<std::size_t... Index>(std::index_sequence<Index...>) {
    // Unqualified: what is declared behind this header, for futures, is found as well.
    detail::select_in_turn(limits, ready_case(objects, detail::NoteReady{&ready, Index})...);
  }(std::index_sequence_for<Objects...>{});
  return ready;
}

/// The fibers of a range one by one, each as soon as it has ended: `for (weft::Fiber<int>& ended :
/// weft::iwait(fibers))`. A range to be gone through once, that is over when all have been given out or the limits are
/// reached.
/// Semantics: after gevent.iwait(). The fibers must outlive it.
template <class F>
class IterWait {
 public:
  template <class Range>
  IterWait(Range& fibers, WaitLimits limits) : watch_{fibers}, limits_{limits} {}

  /// Waits for the next to end. Null: it is over.
  F* next() {
    if (limits_.count == 0) return nullptr;
    F* const ended = watch_.next(limits_.until);
    if (ended) --limits_.count;
    return ended;
  }

  detail::NextIterator<IterWait> begin() { return detail::NextIterator<IterWait>{*this}; }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  detail::EndWatch<F> watch_;
  WaitLimits limits_;
};

template <detail::FiberRange Fibers>
requires std::is_lvalue_reference_v<std::ranges::range_reference_t<Fibers&>>
[[nodiscard]] IterWait<detail::FiberOf<Fibers&>> iwait(Fibers& fibers, WaitLimits limits = {}) {
  return {fibers, limits};
}

/// Waits for all of a range to end, or until the first fails: throws then what it failed with, as get() would. Others
/// run on.
template <detail::FiberRange Fibers>
void join_all(Fibers&& fibers, RaiseError) {
  for (auto& ended : iwait(fibers)) {
    if (const std::exception_ptr failure = ended.exception()) std::rethrow_exception(failure);
  }
}
/// At most so long in all. False: some run on.
template <detail::FiberRange Fibers, class Rep, class Period>
[[nodiscard]] bool join_all(Fibers&& fibers, std::chrono::duration<Rep, Period> timeout, RaiseError) {
  std::size_t left = static_cast<std::size_t>(std::ranges::distance(fibers));
  for (auto& ended : iwait(fibers, {.until = Deadline::after(timeout)})) {
    if (const std::exception_ptr failure = ended.exception()) std::rethrow_exception(failure);
    --left;
  }
  return left == 0;
}

}  // namespace weft
