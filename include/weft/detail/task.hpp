#pragma once

// What runs as a fiber: the callable, its result and who waits for it. Headers of weft only.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/unique_function.hpp>
#include <weft/detail/selectable.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

class FiberContext;
class Scheduler;
class Task;
class TimerHeap;
struct TaskAside;
struct TaskLink;

/// Which ends a link is called for.
enum class LinkFor : std::uint8_t { AnyEnd, Value, Failure };
using LinkCall = UniqueFunction<void(Task& ended)>;

/// One spawned fiber, from spawn until the last handle is gone. Its stack is bound only when it first runs.
class Task {
 public:
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  /// Waits for the end. False: the deadline passed first. Throws Cancelled when the caller is killed.
  bool join_until(Deadline deadline);
  // For a wait in several places: links an entry (false: it has ended), takes it out.
  [[nodiscard]] bool enlist(Entry& entry) noexcept;
  void withdraw(Entry& entry) noexcept;
  /// Somebody knows that it has ended, so that its failure need not be reported.
  void take_notice() noexcept { noticed_.store(true, std::memory_order_relaxed); }
  /// After the end: throws what the fiber threw, or CancelledError when it was killed. Counts as taking notice.
  void throw_failure();
  /// Asks the fiber to end at its next blocking call; one that never started ends without running.
  void kill() noexcept;

  /// It has ended, and whoever joins it need not wait.
  [[nodiscard]] bool done() const noexcept { return (state_.load(std::memory_order_acquire) & kDone) != 0; }
  /// It has ended, though its links may be running yet.
  [[nodiscard]] bool ended() const noexcept { return (state_.load(std::memory_order_acquire) & (kDone | kEnded)) != 0; }
  // After the end, and before throw_failure():
  [[nodiscard]] bool succeeded() const noexcept { return !unwound_ && !failure_; }
  /// What throw_failure() would throw.
  [[nodiscard]] std::exception_ptr failure() const;

  /// Calls `call` at the end, before those are let go who wait for it; now, when it is done. Its number, or 0.
  std::uint64_t link(LinkFor whom, LinkCall call);
  /// False: it is being called, or has been.
  bool unlink(std::uint64_t number) noexcept;
  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  [[nodiscard]] std::string name() const;
  void set_name(std::string name);

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (drop_reference()) dispose();
  }

  // For the engine.
  [[nodiscard]] bool begin(FiberContext& fiber) noexcept;  // false: killed before it ran
  void run(bool killed) noexcept;
  void fail_to_start(std::exception_ptr why) noexcept;  // and finishes
  void finish() noexcept;  // gives up the engine's reference
  [[nodiscard]] Scheduler& scheduler() const noexcept { return *scheduler_; }
  [[nodiscard]] FiberContext* fiber() const noexcept { return fiber_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t stack_bytes() const noexcept { return stack_bytes_; }
  /// It is not to start yet.
  [[nodiscard]] bool delayed() const noexcept { return delayed_; }
  /// For the worker that came upon it while it is delayed: leaves it to that worker's timers. False: it may start, or
  /// end, at once.
  [[nodiscard]] bool wait_in(TimerHeap& timers) noexcept;
  /// Its time has come: makes it runnable.
  void start_now() noexcept;
  void attach(Scheduler& scheduler) noexcept { scheduler_ = &scheduler; }

  // Sized: the destructor is virtual, so that the size is that of the whole task.
  static void* operator new(std::size_t bytes);
  static void operator delete(void* memory, std::size_t bytes) noexcept;
  static void* operator new(std::size_t bytes, std::align_val_t alignment);
  static void operator delete(void* memory, std::size_t bytes, std::align_val_t alignment) noexcept;

  Task* next = nullptr;  ///< Link of the queue the task stands in.

 protected:
  Task();
  virtual ~Task();

  /// Runs the callable, keeps its value and destroys it. May throw.
  virtual void execute() = 0;
  /// Destroys the callable without running it.
  virtual void abandon() noexcept = 0;

 public:
  void set_stack_bytes(std::uint32_t bytes) noexcept { stack_bytes_ = bytes; }
  /// Before it is submitted: not to start before that.
  void set_start(Deadline start);

 private:
  static constexpr std::uint32_t kList = 1, kDone = 2, kWaiters = 4, kKilled = 8, kLinked = 16, kEnded = 32;
  using Guard = ListGuard<std::uint32_t, kList>;

  /// True: that was the last.
  [[nodiscard]] bool drop_reference() noexcept {
    // A sole owner needs no atomic subtraction: nobody else can add a reference to an object he cannot reach.
    return references_.load(std::memory_order_acquire) == 1 || references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  void dispose() noexcept;
  void report_uncaught() noexcept;
  template <class Change>
  auto change_aside(Change change);
  [[nodiscard]] bool leave_links_to_helper() noexcept;
  void run_links() noexcept;
  [[nodiscard]] std::unique_ptr<TaskLink> take_link() noexcept;
  void call(TaskLink& link) noexcept;

  std::atomic<std::uint32_t> state_{0};
  std::atomic<std::uint32_t> references_{2};  // the handle's and the engine's
  WaitList waiters_;                          // guarded by kList
  std::atomic<FiberContext*> fiber_{nullptr};
  Scheduler* scheduler_ = nullptr;
  std::exception_ptr failure_;
  std::unique_ptr<TaskAside> aside_;  // what few tasks have; guarded by kList
  std::uint64_t id_;
  bool unwound_ = false;  // ended by a kill; written before kDone is, read after
  // Somebody waited for the end, so that a failure need not be reported. Written before the writer's reference is given
  // up, read by whoever gives up the last one.
  std::atomic<bool> noticed_{false};
  bool disposed_on_its_fiber_ = false;
  bool delayed_ = false;
  std::uint32_t stack_bytes_ = 0;  // 0: the runtime's default
};

/// What a task's callable left behind.
template <class R>
class TaskResult : public Task {
 public:
  /// Once, after the end, when throw_failure() has returned.
  R take() { return std::move(*value_); }
  /// After the end; null: there is none.
  [[nodiscard]] const R* value() const noexcept { return value_ ? &*value_ : nullptr; }

 protected:
  std::optional<R> value_;
};

template <class R>
class TaskResult<R&> : public Task {
 public:
  R& take() { return *value_; }
  [[nodiscard]] R* value() const noexcept { return value_; }

 protected:
  R* value_ = nullptr;
};

template <>
class TaskResult<void> : public Task {
 public:
  void take() {}
};

template <class R, class Callable>
class TaskOf final : public TaskResult<R> {
 public:
  explicit TaskOf(Callable&& callable) : callable_{std::in_place, std::move(callable)} {}

 private:
  void execute() override {
    // What the callable holds is released when it ends, not when the last handle goes.
    struct Destroy {
      std::optional<Callable>& callable;
      ~Destroy() { callable.reset(); }
    } destroy{callable_};
    if constexpr (std::is_void_v<R>) {
      (*callable_)();
    } else if constexpr (std::is_reference_v<R>) {
      this->value_ = &(*callable_)();
    } else {
      this->value_.emplace((*callable_)());
    }
  }

  void abandon() noexcept override { callable_.reset(); }

  std::optional<Callable> callable_;
};

/// The scheduler new fibers of this context belong to: the running fiber's own, or the default runtime's.
[[nodiscard]] Scheduler& current_scheduler();
/// Hands a new task to a scheduler.
void submit(Scheduler& scheduler, Task& task) noexcept;

}  // namespace weft::detail
