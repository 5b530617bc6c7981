#pragma once

#include <poll.h>

#include <atomic>
#include <cstddef>
#include <string>

#include <weft/detail/context.hpp>

namespace weft::detail {

/// An OS thread as something that can block. Pooled and never freed: a late futex wake of a former owner is harmless.
class ThreadContext final : public Context {
 public:
  explicit ThreadContext(std::uint64_t context_id) : Context{Kind::Thread, context_id} {}

  /// Sleeps until the wait is decided.
  Outcome park(Deadline deadline) noexcept;
  /// What park_on() polls: so many entries, with room for one more behind them, and the outcome that stands for each.
  struct Polled {
    pollfd* entries;
    const Outcome* outcomes;
    std::size_t count;
  };
  /// Sleeps until the wait is decided or one of the entries is ready (poll(2)); then decides it as that one's outcome. Errors
  /// of poll itself are decided as the first one's: the system call that follows reports them.
  Outcome park_on(Polled polled, Wait record, Deadline deadline) noexcept;
  /// Sleeps until the wait is decided, or a word that processes share is woken or is not `expected`; then decides it as kFired.
  /// Before Linux 5.16 a decision by others, a kill, is noticed after some milliseconds only: two words cannot be waited for.
  Outcome park_on_word(const std::uint32_t* shared, std::uint32_t expected, Wait record, Deadline deadline) noexcept;
  /// Wakes whoever sleeps in park(), park_on() or park_on_word(). Any thread.
  void wake() noexcept;

  /// Whether it belongs to a thread that exists and may do something that weft knows nothing of: one of the program's own, outside of
  /// any wait, that does not serve as a worker.
  [[nodiscard]] bool may_act() const noexcept {
    return process == this_process() && thread_id.load(std::memory_order_relaxed) != 0 &&
           !of_engine.load(std::memory_order_relaxed);
  }

  std::atomic<int> thread_id{0};       ///< The kernel's number; 0: in the pool, without a thread.
  std::atomic<bool> of_engine{false};  ///< A worker, while it is one, or another of weft's helpers.
  ThreadContext* next_free = nullptr;
  ThreadContext* next_made = nullptr;

 private:
  [[nodiscard]] bool fall_asleep() noexcept;
  [[nodiscard]] Outcome settled() noexcept;

  std::atomic<bool> polling_{false};
  std::atomic<int> event_{-1};  // eventfd that ends a poll; made on first use
};

/// Ends the wait of this epoch, unless it may not throw, by a DeadlockError that says `report`. False: it has ended already.
[[nodiscard]] bool interrupt_for_deadlock(Context& context, std::uint64_t id, std::uint64_t epoch, std::string report);
/// A context's own decision of its wait, while its word is in the state `from`. False: somebody else's came first.
[[nodiscard]] bool settle_own(Context& self, std::uint64_t from, Outcome outcome) noexcept;
/// Whether a kill came between arm() and now, and has been made the outcome.
[[nodiscard]] bool killed_before_park(Context& self) noexcept;

/// Until when a wait lasts: its own deadline, or that of the scope around it.
class ScopedDeadline {
 public:
  ScopedDeadline(const Context& self, Deadline own) noexcept;

  [[nodiscard]] Deadline deadline() const noexcept { return deadline_; }
  /// The end of a scope is no answer to the call: it ends by an exception.
  [[nodiscard]] Outcome judge(Outcome outcome) const noexcept {
    return outcome == kTimedOut && is_scopes_ ? kInterrupted : outcome;
  }

 private:
  Deadline deadline_;
  bool is_scopes_ = false;
};

/// Its wait record, from when it begins to park until it leaves the wait; then it stays while somebody reads the record.
class PublishedWait {
 public:
  PublishedWait(Context& self, Wait& wait, Deadline deadline, const void* frame) noexcept;
  PublishedWait(const PublishedWait&) = delete;
  PublishedWait& operator=(const PublishedWait&) = delete;
  ~PublishedWait();

 private:
  Context& self_;
};

/// Where this thread keeps the context that runs on it. Never inlined: see current_context().
[[nodiscard]] Context*& current_context_slot() noexcept;

/// The context of this thread itself, also while it serves as a worker.
[[nodiscard]] ThreadContext& own_thread_context() noexcept;
/// This thread is one of weft's helpers.
void mark_engine_thread() noexcept;

/// The newest context ever made for a thread; from there along next_made. They live for ever.
[[nodiscard]] ThreadContext* all_threads() noexcept;
template <class Visit>
void for_each_thread(Visit visit) {
  for (ThreadContext* thread = all_threads(); thread; thread = thread->next_made) visit(*thread);
}
/// The thread a context belongs to now, and the id it has for that thread: contexts are used again. 0: none.
struct ThreadNow {
  int number = 0;
  std::uint64_t id = 0;
};
[[nodiscard]] ThreadNow thread_now(const ThreadContext& thread) noexcept;
/// What it was called, "MainThread", or what the system calls it.
[[nodiscard]] std::string thread_name(const ThreadContext& thread);

void lock_threads_for_fork() noexcept;
void unlock_threads_after_fork() noexcept;
/// In a forked child: whatever called fork() goes on as this process's only thread, under the same id.
void become_plain_thread() noexcept;

/// Ids come in blocks for each thread, so that numbering a fiber costs no shared cache line.
[[nodiscard]] std::uint64_t next_context_id() noexcept;

struct ThreadStack {
  void* bottom = nullptr;
  std::size_t bytes = 0;
};
[[nodiscard]] ThreadStack thread_stack() noexcept;

}  // namespace weft::detail
