#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/detail/selectable.hpp>

namespace weft {

namespace detail {

class TimeWay : public Selectable {
 public:
  explicit TimeWay(Deadline point) {
    role = Role::Deadline;
    deadline = point;
  }
};

class OtherwiseWay : public Selectable {
 public:
  OtherwiseWay() { role = Role::Otherwise; }
};

}  // namespace detail

/// A case of select(): chosen when so much time has passed, counted from here, and nothing else has been ready before.
template <class F>
[[nodiscard]] auto after(Deadline deadline, F callable) {
  return detail::SelectCase<detail::TimeWay, F>{std::move(callable), deadline};
}
template <class Rep, class Period, class F>
[[nodiscard]] auto after(std::chrono::duration<Rep, Period> timeout, F callable) {
  return after(Deadline::after(timeout), std::move(callable));
}

/// A case of select(): chosen when no other is ready, so that select() does not wait.
template <class F>
[[nodiscard]] auto otherwise(F callable) {
  return detail::SelectCase<detail::OtherwiseWay, F>{std::move(callable)};
}

/// Waits for the first of several, takes it, calls what belongs to it, and returns its index.
///
///     weft::select(jobs.on_get([](Job job) { work(job); }),
///                  results.on_put(std::move(result), [] { ++sent; }),
///                  stop.on_set([] { throw Done{}; }),
///                  peer.on_readable([&] { read(peer); }),
///                  weft::after(5s, [] { report("quiet"); }));
///
/// Semantics:     as Go's select statement. Exactly one case is taken; the others take, put and lose nothing. Of
///                several that are ready one is chosen by chance, so that none starves. The callable runs in the caller
///                when all is decided: it may block, throw, or select again. Cases: on_get and on_put of queues, on_set
///                of an Event, on_acquire of a Semaphore, on_end of a Fiber or a Thread, on_readable and on_writable of a Socket,
///                after, otherwise; and of processes on_get, on_put, on_set, on_acquire, on_readable and on_writable of a Connection, on_end.
/// Ends:          a queue that is shut down (for on_get: and empty) is ready; select() then throws ShutDown, unless the
///                case has a second callable for that. So is a closed Socket: OSError.
/// Thread-safety: from any thread or fiber; each object that is waited for must outlive the call, but for the one
///                chosen.
/// Blocking:      parks the fiber, or the thread when called outside one. Throws Cancelled when this fiber is killed.
/// Ordering:      as for the operation that is chosen.
/// Fairness:      in each object's queue it waits like others, oldest first; once chosen elsewhere it leaves its place. Of several who wait
///                for what processes share, any may be next.
/// Cost:          no allocation; one step on each object, and another to leave it when it had to wait.
template <class... Cases>
  requires(std::derived_from<std::remove_cvref_t<Cases>, detail::Selectable> && ...)
std::size_t select(Cases&&... cases) {
  static_assert(sizeof...(cases) > 0 && sizeof...(cases) <= detail::kMostSelectCases);
  detail::Selectable* const all[] = {&cases...};
  const std::size_t chosen = detail::select_among(all, sizeof...(cases));
  all[chosen]->run();
  return chosen;
}

}  // namespace weft
