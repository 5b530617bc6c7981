#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/detail/process_pool.hpp>
#include <weft/futures/executor.hpp>
#include <weft/process/start_method.hpp>

namespace weft {

/// Processes that do work in the order of its coming: the words of ThreadPoolExecutor, on memory of their own.
///
///     weft::ProcessPoolExecutor processes{4};
///     for (long n : processes.map(count_words, files)) total += n;
///
/// Semantics:     after Python concurrent.futures.ProcessPoolExecutor: workers are started as they are needed, never more than
///                `max_workers`, and used again. What is called is a function, a captureless lambda or a Sendable function object, and
///                arguments and results are Sendable, or it does not compile. A call that has not begun can be cancelled, as it is in
///                no worker's hands. The destructor finishes the work and waits, but if an exception unwinds it calls off what has not begun.
/// Size:          between `min_workers` and `max_workers`. One is added when a task waits and no worker is idle: the first at once, others
///                when that has been so for 2 ms (by spawn: 20 ms), and at most as many at a time as there are, so that a burst of
///                small tasks does not start them all; but none is waited for that takes 0.1 s to initialize itself, or 1 s to start. One
///                that has had nothing to do for `idle_timeout`, or up to a quarter more, ends, without a task in its hands; with
///                `min_workers` 0 no process is left then. One that dies, or has done `max_tasks_per_child` tasks, is replaced at once
///                if there is work for it, or fewer than `min_workers` are left. A worker that is to end and has not done so after
///                5 s is killed: something that a task left behind keeps it.
///
///                    weft::ProcessPoolExecutor pool{{.max_workers = 8, .min_workers = 1, .idle_timeout = 10s}};
///
/// Failures:      what the call throws comes back as itself if it is of exactly a type of the standard library's or weft's, what() kept;
///                anything else as RemoteError. Where it was thrown remote_origin() tells. A value that cannot be written or read is a failure of its task alone.
/// Deaths:        a worker that dies (a signal, exit(), a stack that overflows, no memory) fails the one task it had begun, with
///                WorkerDied, and is replaced. Differs: Python's executor is broken then. Workers that die again and again without a task, or
///                whose initializer throws, break the executor: all that waits, and every later submit, gets BrokenExecutor with the cause.
///                Tasks that kill one worker after the other, sixteen and more, and none is done meanwhile: they are replaced more slowly, as
///                stderr says.
/// Order:         tasks begin in the order of their coming, within about a millisecond: what stands behind one that takes longer is given to
///                others.
/// Children:      a task may start processes, which end with the worker at the latest; those of process::Pool may not, as in Python.
/// Fork:          workers by fork come from a thread of weft's own: a thread lock that the maker of the pool held is held there by nobody.
/// Ctrl-C:        workers ignore SIGINT: what is to be done the parent decides. When it ends, however, its workers end.
/// Thread-safety: every method, from any thread or fiber.
/// Blocking:      submit only when `max_pending` tasks wait already; shutdown and the destructor, until the work is done.
/// Callbacks:     of add_done_callback() are called in this process and one at a time, so that among themselves they need no lock: by a
///                thread of weft's own; by the caller, at once, for a task that is done or that he cancels, unless others are being called.
/// fork():        a child has none of the workers: submit throws BrokenExecutor there.
/// Cost:          a task that is submitted, run and waited for: some 0.5 microseconds while workers are busy; two wake-ups when they sleep.
///                Values of more than 64 KiB go in a block of memory of their own.
class ProcessPoolExecutor : public Mapping<ProcessPoolExecutor> {
 public:
  struct Config {
    unsigned max_workers = 0;                       ///< 0: as many as this process has processors.
    unsigned min_workers = 0;                       ///< So many are started at once, and kept.
    std::chrono::nanoseconds idle_timeout{0};       ///< A worker above these that is idle for so long ends; 0: never.
    std::string name = {};                          ///< For its workers and for reports; "ProcessPoolExecutor-0" and so on unless set.
    std::optional<StartMethod> start_method = {};   ///< That of process::get_start_method() unless set.
    SentCall initializer = {};                      ///< Called first in each worker. If it throws, the pool is broken.
    std::uint64_t max_tasks_per_child = 0;          ///< After so many a worker is replaced; 0: never.
    std::chrono::nanoseconds task_timeout{0};       ///< For tasks without a TaskOptions::timeout.
    unsigned retries = 0;                           ///< For tasks without TaskOptions::retries.
    std::size_t max_pending = 0;                    ///< So many wait at most, then submit() waits; 0: no bound.
  };

  explicit ProcessPoolExecutor(unsigned max_workers = 0) : ProcessPoolExecutor{Config{.max_workers = max_workers}} {}
  /// Throws: InvalidStateError: the minimum is above the maximum, or main() lacks weft::process::main(); std::invalid_argument: more than
  /// 65536 workers; OSError.
  explicit ProcessPoolExecutor(Config config);
  ProcessPoolExecutor(const ProcessPoolExecutor&) = delete;
  ProcessPoolExecutor& operator=(const ProcessPoolExecutor&) = delete;
  ~ProcessPoolExecutor() { detail::end_process_pool(*core_, exceptions_); }

  /// A Future of callable(args...), of which copies are sent; a string literal travels as std::string. What is given by std::move() is
  /// gone afterwards: of a Socket or a Connection only the worker has an end then.
  /// Throws: ShutDown after shutdown(); BrokenExecutor.
  template <class F, class... Args>
    requires(!std::is_same_v<std::decay_t<F>, TaskOptions>)
  auto submit(F&& callable, Args&&... args) {
    return submit(TaskOptions{}, std::forward<F>(callable), std::forward<Args>(args)...);
  }
  /// The same for a task that is treated in its own way.
  template <class F, class... Args>
  auto submit(const TaskOptions& options, F&& callable, Args&&... args) {
    return detail::submit_given(detail::UntoldTasks{}, core_, detail::limits_of(*core_, options), std::forward<F>(callable), std::forward<Args>(args)...);
  }

  /// Again: no effect but to wait. Futures keep their results.
  void shutdown(Shutdown how = {}) { core_->shutdown(how.wait, how.cancel_pending); }
  /// No more work: what has not begun is cancelled, and what runs is ended by killing its worker: it fails with CancelledError.
  void terminate() { core_->terminate(true); }

  /// Workers that there are now, those that are about to end among them.
  [[nodiscard]] std::size_t workers() const noexcept { return core_->workers(); }
  [[nodiscard]] std::vector<int> pids() const { return core_->pids(); }

  // For map().
  using SendsChunks = void;
  template <class F, class Arguments>
  auto submit_chunk(const F& callable, const std::vector<Arguments>& inputs) {
    return detail::submit_sent_chunk(core_, detail::limits_of(*core_, {}), callable, inputs);
  }

 private:
  std::shared_ptr<detail::ProcessPoolCore> core_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace weft
