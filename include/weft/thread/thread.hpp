#pragma once

#include <signal.h>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/unique_function.hpp>
#include <weft/detail/bound_call.hpp>
#include <weft/detail/selectable.hpp>

namespace weft {

namespace detail {
class ThreadState;
struct ThreadAccess;

/// What select() waits for at a thread: its end.
class ThreadEndWay : public Selectable {
 public:
  explicit ThreadEndWay(std::shared_ptr<ThreadState> state);
  bool try_now() override;
  bool enlist() noexcept override;
  void withdraw() noexcept override;

 private:
  std::shared_ptr<ThreadState> state_;
};
}  // namespace detail

/// How the kernel chooses among threads that could run; see sched(7).
enum class SchedulingPolicy : std::uint8_t { Other, Batch, Idle, Fifo, RoundRobin };

/// A thread of the operating system: made, given its properties, started, joined.
///
///     weft::Thread feeder{[&] { feed(jobs); }};
///     feeder.set_name("feeder").set_daemon(false).start();
///     feeder.join();
///
/// Semantics:     after Python threading.Thread. An object is a handle: copies, and what current_thread() and
///                enumerate() give, are the same thread, and compare equal. Handles may be dropped and assigned at any
///                time: the thread runs on. The program ends when main() has returned, or exit() was called, and all
///                threads but daemons have ended; that is waited for before any static object is destroyed. A daemon
///                runs on while they are, so that it should use none with a destructor.
///                A class may derive from Thread and override run(), which then uses the object itself; so that the
///                object must outlive run(): join() it, or make it with make_thread(), and the running thread keeps it
///                alive. To destroy such an object, or assign to it, while its run() goes on ends the program, with a
///                message.
/// Thread-safety: every method but assignment, from any thread or fiber, on one object or several.
/// Blocking:      start() until the thread has begun; join parks the fiber, or the thread when called outside one.
/// Ordering:      all that precedes start() is visible in the thread; all that the thread did, the destructors of its
///                thread_local objects too, after the join.
/// Cost:          that of std::thread, and in start() the wait for the beginning.
class Thread : public std::enable_shared_from_this<Thread> {
 protected:
  struct Tag {};
  struct Droppable : Tag {};

 public:
  /// Runs callable(args...), of which it keeps copies, as std::thread does: std::ref(x) to share x. What they return is
  /// dropped; what they throw is reported: see set_excepthook().
  template <class F, class... Args>
    requires(!std::derived_from<std::remove_cvref_t<F>, Thread> && !std::derived_from<std::remove_cvref_t<F>, Tag>)
  explicit Thread(F&& callable, Args&&... args)
      : Thread{Callable{}, bind(std::forward<F>(callable), std::forward<Args>(args)...)} {}
  /// A handle to be assigned to, or the base of an object whose class overrides run().
  Thread();
  Thread(const Thread& other);
  Thread& operator=(const Thread& other);
  virtual ~Thread();

  /// Appears in reports, in debuggers and, its first 15 bytes, in /proc. "Thread-1" and so on unless set; at any time.
  Thread& set_name(std::string name);
  [[nodiscard]] std::string name() const;

  // What follows is set before start(); later it throws InvalidStateError. What is not set is as in the thread that
  // starts it.

  /// A daemon does not keep the program alive. Threads that a daemon makes are daemons, others are not, unless set.
  Thread& set_daemon(bool daemon);
  [[nodiscard]] bool daemon() const;
  /// -20, much of the processor, to 19, little of it. Below the present value it takes a privilege.
  Thread& set_nice(int nice);
  /// `priority`: 1 to 99 for Fifo and RoundRobin, which take a privilege; otherwise 0.
  Thread& set_policy(SchedulingPolicy policy, int priority = 0);
  /// The processors it may run on. Throws: OSError for numbers that no machine has.
  Thread& set_cpus(std::initializer_list<unsigned> cpus);
  /// The signals it does not take.
  Thread& set_signal_mask(const sigset_t& blocked);
  Thread& set_stack_bytes(std::size_t bytes);

  /// Starts it, once, and returns when it has begun. No cancellation point.
  /// Throws: InvalidStateError when it was started before, or there is nothing to run; OSError that says what was
  /// tried, when the system refuses a thread or one of its properties: it has not been started then.
  Thread& start();

  /// Waits for the end, however it ends.
  /// Throws: InvalidStateError before start(), for the calling thread itself, and for stand-ins; Cancelled when the
  /// caller is killed meanwhile; DeadlockError when the thread waits, perhaps through others, for the caller.
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

  /// A case of select(): ready when the thread has ended. Throws: InvalidStateError as join() does.
  template <class F>
  [[nodiscard]] auto on_end(F callable) const {
    return detail::SelectCase<detail::ThreadEndWay, F>{std::move(callable), state_};
  }

  /// Asks it to end: its next blocking call, or the one it is in, throws Cancelled there and unwinds its stack. One that has not
  /// begun ends without running. Returns at once; join() to see it end. Does nothing when it has ended.
  /// Throws: InvalidStateError for threads that were not started by weft: nothing catches Cancelled there.
  void kill();

  /// Whether it was started and has not ended. Stand-ins are always alive.
  [[nodiscard]] bool is_alive() const;
  /// weft's number for it, which never comes again; get_ident() gives it inside the thread. 0 before start().
  [[nodiscard]] std::uint64_t ident() const;
  /// The kernel's number for it, as gettid() gives it; used again after its end. 0 before start().
  [[nodiscard]] int native_id() const;

  friend bool operator==(const Thread& a, const Thread& b) { return a.same_as(b); }

 protected:
  /// What the thread does: calls the callable it was made from. An override may call it, too.
  virtual void run();

  /// For classes that do not override run(): such an object is a mere handle, as one of Thread itself is.
  Thread(Droppable, UniqueFunction<void()> body);

  template <class F, class... Args>
  static UniqueFunction<void()> bind(F&& callable, Args&&... args) {
    return [call = detail::bind_call(std::forward<F>(callable), std::forward<Args>(args)...)]() mutable { (void)call(); };
  }

 private:
  friend class detail::ThreadState;
  friend struct detail::ThreadAccess;

  struct Callable : Tag {};

  Thread(Callable, UniqueFunction<void()> body);
  explicit Thread(std::shared_ptr<detail::ThreadState> state) noexcept;

  [[nodiscard]] bool same_as(const Thread& other) const;
  void part_from_run() const noexcept;

  std::shared_ptr<detail::ThreadState> state_;
};

/// An object of a class that derives from Thread, kept alive by whoever holds the pointer, and by its own thread while
/// that runs: `make_thread<Worker>(1, 2)->start()` is safe. std::make_shared does the same.
template <std::derived_from<Thread> T, class... Args>
[[nodiscard]] std::shared_ptr<T> make_thread(Args&&... args) {
  return std::make_shared<T>(std::forward<Args>(args)...);
}

}  // namespace weft
