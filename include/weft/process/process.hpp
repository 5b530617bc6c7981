#pragma once

#include <sys/types.h>

#include <chrono>
#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/detail/process_work.hpp>
#include <weft/detail/selectable.hpp>
#include <weft/process/main.hpp>
#include <weft/process/start_method.hpp>

namespace weft {

namespace detail {
class ProcessState;
struct ProcessAccess;

/// What select() waits for at a process: its end.
class ProcessEndWay : public Selectable {
 public:
  explicit ProcessEndWay(std::shared_ptr<ProcessState> state);
  bool try_now() override;
  bool enlist() noexcept override;
  void withdraw() noexcept override;
  bool accept(Outcome how) noexcept override;

 private:
  std::shared_ptr<ProcessState> state_;
};
}  // namespace detail

/// A process: made, given its properties, started, joined.
///
///     weft::Process worker{add_up, counter, gate, 1000};     // sent to the child: function and arguments
///     weft::Process child{weft::fork, [&] { mine(); }};      // a closure: only fork can carry it
///     worker.start();
///     worker.join();
///
/// Semantics:     after Python multiprocessing.Process. An object is a handle: copies, and what active_children() gives, are the same
///                process, and compare equal. Handles may be dropped and assigned at any time: nothing happens to the process. The child
///                has its standard input from /dev/null and ends with exit code 0 when the callable returns, whatever that returns; with 1
///                when it throws, having printed what; exit(n) gives n. Then its threads that are no daemons, and its own children, are
///                waited for, and all streams of C are flushed. A child by Fork or Forkserver ends without destroying static objects.
///                When main() has returned, or exit() was called, and threads have ended, daemonic children are sent SIGTERM, the others are
///                waited for. If the parent is killed, its children are, too, and theirs: within some 10 ms, by SIGKILL.
///                A class may derive from Process and override run(): such an object is started by Fork, whatever the default, and not at all
///                if another method was asked for. exit() in a child by Fork or Forkserver calls what the child has registered, and
///                destroys what it has made static.
/// Fork:          the child has the caller's thread only, and of fibers none but the caller, who goes on on a stack of full size. A
///                weft::Lock that the caller held is held by the child's main thread; one that another thread held stays locked for
///                ever, and so does any other lock of any library. The allocator and weft itself are fit for use. What the standard
///                streams hold is flushed before; any other stream's buffer is there twice.
/// Spawn, Forkserver: the child has what was sent to it, the environment it was started with (for Forkserver: the first start's), the
///                working directory of the starter, and of descriptors 0, 1, 2 and those that were sent.
/// Thread-safety: every method but assignment, from any thread or fiber, on one object or several.
/// Blocking:      start() until the arguments have been handed over; join parks the fiber, or the thread when called outside one.
/// Errors:        InvalidStateError for calls that do not fit: before start(), twice, after close(), in a process that is not its parent.
/// Cost:          three descriptors for a moment, two while it lives. docs/benchmarks.md has the times.
class Process {
 protected:
  struct Tag {};

 public:
  /// Runs callable(args...) by the default start method: function and arguments are copied here, and sent by start(). Of a Connection or
  /// Socket that is not moved in, a handle of its own is kept until then; the caller's stays open.
  /// Throws: what sending such an argument throws.
  template <class F, class... Args>
    requires(!std::derived_from<std::remove_cvref_t<F>, Process> && !std::derived_from<std::remove_cvref_t<F>, Tag> &&
             !std::convertible_to<F, StartMethod>)
  explicit Process(F&& callable, Args&&... args)
      : Process{Work{}, {}, detail::sent_work(std::forward<F>(callable), std::forward<Args>(args)...)} {}

  /// By a start method known as the program is compiled. weft::fork carries any callable and any arguments.
  template <StartMethod Method, class F, class... Args>
  Process(StartBy<Method> method, F&& callable, Args&&... args)
      : Process{Work{}, method, work_for<Method>(std::forward<F>(callable), std::forward<Args>(args)...)} {}
  /// By one that is chosen as it runs.
  template <class F, class... Args>
  Process(StartMethod method, F&& callable, Args&&... args)
      : Process{Work{}, method, detail::sent_work(std::forward<F>(callable), std::forward<Args>(args)...)} {}

  /// A handle to be assigned to, or the base of an object whose class overrides run().
  Process();
  Process(const Process& other) = default;
  Process& operator=(const Process& other) = default;
  virtual ~Process();

  /// Appears in reports. "Process-1" and so on unless set, in a child of that "Process-1:1"; at any time.
  Process& set_name(std::string name);
  [[nodiscard]] std::string name() const;
  /// Before start(). A daemonic process is ended with its parent, and may have no children itself.
  Process& set_daemon(bool daemon);
  [[nodiscard]] bool daemon() const;

  /// Starts it, once. No cancellation point.
  /// Throws: InvalidStateError when it was started before, there is nothing to run, weft::process::main() is missing in main(), or this
  /// process is daemonic; OSError when the system refuses; what the arguments throw as they are sent. It has not been started then.
  Process& start();

  /// Waits for the end, however it ends.
  /// Throws: InvalidStateError before start(), for the calling process, and in any but its parent; Cancelled when the caller is killed;
  /// DeadlockError when all that could end it wait for the caller.
  void join() { (void)join_until(Deadline::never()); }
  /// Waits at most so long. False: it runs on.
  template <class Rep, class Period>
  [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> timeout) {
    return join_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool join_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return join_until(Deadline::at(point));
  }
  [[nodiscard]] bool join_until(Deadline deadline);

  /// A case of select(): ready when the process has ended. Throws: InvalidStateError as join() does.
  template <class F>
  [[nodiscard]] auto on_end(F callable) const {
    return detail::SelectCase<detail::ProcessEndWay, F>{std::move(callable), state_};
  }

  /// Whether it was started and has not ended.
  [[nodiscard]] bool is_alive() const;
  /// How it ended: what it gave to exit(), 0 or 1; the negative number of the signal that killed it. Nothing while it runs. 255 when the
  /// system cannot tell any more: the fork server was killed (and Linux is older than 6.15), or somebody else has waited for the child.
  [[nodiscard]] std::optional<int> exitcode() const;
  /// 0 before start().
  [[nodiscard]] pid_t pid() const;
  /// A descriptor that is readable when the process has ended (a pidfd), for select(), poll() and selectors. It lives as long as a handle
  /// does, or until close().
  [[nodiscard]] int sentinel() const;

  /// Sends SIGTERM, SIGKILL. Nothing when it has ended. Its own children end with it, as said above.
  void terminate();
  void kill();
  /// Gives up descriptors. Every later call but name() and daemon() throws InvalidStateError; so does this one while the process runs.
  void close();

  friend bool operator==(const Process& a, const Process& b) { return a.state_ == b.state_; }

 protected:
  /// What the process does: calls the callable it was made from. An override may call it, too.
  virtual void run();

 private:
  friend class detail::ProcessState;
  friend struct detail::ProcessAccess;

  struct Work : Tag {};

  Process(Work, std::optional<StartMethod> method, std::unique_ptr<detail::ProcessWork> work);
  explicit Process(std::shared_ptr<detail::ProcessState> state) noexcept;

  template <StartMethod Method, class F, class... Args>
  static std::unique_ptr<detail::ProcessWork> work_for(F&& callable, Args&&... args) {
    if constexpr (Method == StartMethod::Fork) {
      return detail::local_work(std::forward<F>(callable), std::forward<Args>(args)...);
    } else {
      return detail::sent_work(std::forward<F>(callable), std::forward<Args>(args)...);
    }
  }

  std::shared_ptr<detail::ProcessState> state_;
};

namespace process {

/// The calling process. "MainProcess" is the name of one that weft did not start.
[[nodiscard]] Process current_process();
/// The one that started it: its name, pid and sentinel; nothing in a process that weft did not start.
[[nodiscard]] std::optional<Process> parent_process();
/// Those that were started here and have not ended, dropped handles or not. Buries the others.
[[nodiscard]] std::vector<Process> active_children();
/// Processors that are online.
[[nodiscard]] unsigned cpu_count();

}  // namespace process

}  // namespace weft
