#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <weft/fiber/fiber.hpp>
#include <weft/fiber/spawn.hpp>

namespace weft {

namespace detail {
struct RuntimeAccess;
}

/// The workers that run fibers. Most programs need none of their own: the default runtime starts with the first spawn(),
/// has a worker for each processor the process may use, and lives as long as the process. Fibers that are still running
/// then do not keep the process alive.
///
/// A runtime with one worker is gevent's world: it has no thread of its own; its fibers run on the thread that is inside
/// run(), while it is, never two at once, in a deterministic order.
///
/// Semantics:     fibers start in the order of their spawn and go on in the order of their wake-up.
/// Thread-safety: every method, from any thread; destroy only when nobody is inside another method.
/// Blocking:      run() and the destructor.
class Runtime {
 public:
  struct Config {
    unsigned workers = 0;                  ///< 1 to 64; 0: one for each processor this process may use.
    std::size_t stack_bytes = 256 * 1024;  ///< Address space of a fiber's stack; only touched pages cost memory.
    std::string name = {};                 ///< Prefix of its threads' names in /proc and in debuggers.
    bool migrate_always = false;           ///< For tests: every wake-up may change the worker. Slow.
  };

  /// Throws: Error for a count out of range, std::system_error when the system gives no thread or descriptor.
  Runtime();
  explicit Runtime(Config config);
  /// Kills the fibers that are left and waits for their end. A fiber that swallows Cancelled for ever hangs here.
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  [[nodiscard]] unsigned workers() const noexcept;

  /// As weft::spawn(), but here.
  template <class F, class... Args>
    requires(!std::is_same_v<std::decay_t<F>, SpawnOptions>)
  auto spawn(F&& callable, Args&&... args) {
    return detail::start_task(*scheduler_,
                              detail::make_task(nullptr, std::forward<F>(callable), std::forward<Args>(args)...));
  }
  template <class F, class... Args>
  auto spawn(const SpawnOptions& options, F&& callable, Args&&... args) {
    return detail::start_task(*scheduler_,
                              detail::make_task(&options, std::forward<F>(callable), std::forward<Args>(args)...));
  }

  /// As weft::spawn_later(), but here.
  template <class Rep, class Period, class F, class... Args>
    requires(!std::is_same_v<std::decay_t<F>, SpawnOptions>)
  auto spawn_later(std::chrono::duration<Rep, Period> delay, F&& callable, Args&&... args) {
    return detail::start_task_later(*scheduler_, Deadline::after(delay),
                                    detail::make_task(nullptr, std::forward<F>(callable), std::forward<Args>(args)...));
  }
  template <class Rep, class Period, class F, class... Args>
  auto spawn_later(std::chrono::duration<Rep, Period> delay, const SpawnOptions& options, F&& callable, Args&&... args) {
    return detail::start_task_later(*scheduler_, Deadline::after(delay),
                                    detail::make_task(&options, std::forward<F>(callable), std::forward<Args>(args)...));
  }

  /// Runs callable(args...) as a fiber and waits for it: its value, or what it threw. With one worker, on this thread.
  /// Other fibers that are not done then stay where they are, until the next run().
  template <class F, class... Args>
  auto run(F&& callable, Args&&... args) {
    auto fiber = spawn(std::forward<F>(callable), std::forward<Args>(args)...);
    wait_for(fiber);
    return fiber.get();
  }

 private:
  friend struct detail::RuntimeAccess;

  template <class R>
  void wait_for(Fiber<R>& fiber) {
    drive(detail::FiberAccess::task(fiber));
  }
  void drive(detail::Task& task);
  void drive_from_thread(detail::Task& task);

  std::unique_ptr<detail::Scheduler> scheduler_;
};

namespace detail {
/// What weft's own code may ask of a runtime.
struct RuntimeAccess {
  [[nodiscard]] static Scheduler& scheduler(Runtime& runtime) noexcept { return *runtime.scheduler_; }
};
}  // namespace detail

}  // namespace weft
