#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/detail/bound_call.hpp>
#include <weft/detail/task.hpp>
#include <weft/fiber/fiber.hpp>

namespace weft {

/// What may be said about one fiber before it starts.
struct SpawnOptions {
  std::string name = {};        ///< For reports and the debugger.
  std::size_t stack_bytes = 0;  ///< Rounded up to pages; 0: what the runtime gives all (256 KiB). Only touched pages cost memory.
};

namespace detail {

template <class F, class... Args>
auto make_task(const SpawnOptions* options, F&& callable, Args&&... args) {
  auto body = bind_call(std::forward<F>(callable), std::forward<Args>(args)...);
  using R = BoundResult<F, Args...>;
  auto* task = new TaskOf<R, decltype(body)>{std::move(body)};
  if (options) {
    if (!options->name.empty()) task->set_name(options->name);
    task->set_stack_bytes(static_cast<std::uint32_t>(options->stack_bytes));
  }
  return static_cast<TaskResult<R>*>(task);
}

template <class R>
Fiber<R> start_task(Scheduler& scheduler, TaskResult<R>* task) {
  Fiber<R> handle{*task};
  submit(scheduler, *task);
  return handle;
}

template <class R>
Fiber<R> start_task_later(Scheduler& scheduler, Deadline start, TaskResult<R>* task) {
  Fiber<R> handle{*task};
  try {
    task->set_start(start);
  } catch (...) {
    task->release();  // the engine's reference
    throw;
  }
  submit(scheduler, *task);
  return handle;
}

}  // namespace detail

/// Runs callable(args...) as a new fiber of the runtime the caller belongs to; of the default runtime, one worker a core,
/// when called on a plain thread. The fiber starts when a worker gets to it, never inside this call.
///
/// Callable and arguments are copied or moved into the fiber; what they hold is released when it ends.
/// Thread-safety: from anywhere. Blocking: never.
/// Throws:        std::bad_alloc; from the first use on a plain thread also what starting the runtime throws.
template <class F, class... Args>
  requires(!std::is_same_v<std::decay_t<F>, SpawnOptions>)
auto spawn(F&& callable, Args&&... args) {
  detail::Scheduler& scheduler = detail::current_scheduler();
  return detail::start_task(scheduler,
                            detail::make_task(nullptr, std::forward<F>(callable), std::forward<Args>(args)...));
}

/// The same, with a name or a stack size of its own.
template <class F, class... Args>
auto spawn(const SpawnOptions& options, F&& callable, Args&&... args) {
  detail::Scheduler& scheduler = detail::current_scheduler();
  return detail::start_task(scheduler,
                            detail::make_task(&options, std::forward<F>(callable), std::forward<Args>(args)...));
}

/// As spawn(), but the fiber does not start before so much time has passed. Until then it holds no stack. Killed before its
/// start it ends at once.
/// Semantics: after gevent.spawn_later().
template <class Rep, class Period, class F, class... Args>
  requires(!std::is_same_v<std::decay_t<F>, SpawnOptions>)
auto spawn_later(std::chrono::duration<Rep, Period> delay, F&& callable, Args&&... args) {
  detail::Scheduler& scheduler = detail::current_scheduler();
  return detail::start_task_later(scheduler, Deadline::after(delay),
                                  detail::make_task(nullptr, std::forward<F>(callable), std::forward<Args>(args)...));
}
template <class Rep, class Period, class F, class... Args>
auto spawn_later(std::chrono::duration<Rep, Period> delay, const SpawnOptions& options, F&& callable, Args&&... args) {
  detail::Scheduler& scheduler = detail::current_scheduler();
  return detail::start_task_later(scheduler, Deadline::after(delay),
                                  detail::make_task(&options, std::forward<F>(callable), std::forward<Args>(args)...));
}

}  // namespace weft
