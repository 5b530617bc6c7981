#pragma once

#include <atomic>
#include <cstddef>

#include <weft/detail/context.hpp>

namespace weft::detail {

/// An OS thread as something that can block. Pooled and never freed: a late futex wake of a former owner is harmless.
class ThreadContext final : public Context {
 public:
  explicit ThreadContext(std::uint64_t context_id) : Context{Kind::Thread, context_id} {}

  /// Sleeps until the wait is decided.
  Outcome park(Deadline deadline) noexcept;
  /// Sleeps until the wait is decided or `fd` has one of `events` (poll(2)); then decides it as kFired. Errors of poll
  /// itself are decided as kFired too: the system call that follows reports them.
  Outcome park_on(int fd, short events, Wait record, Deadline deadline) noexcept;
  /// Wakes whoever sleeps in park() or park_on(). Any thread.
  void wake() noexcept;

  ThreadContext* next_free = nullptr;

 private:
  [[nodiscard]] bool fall_asleep() noexcept;
  [[nodiscard]] Outcome settled() noexcept;

  std::atomic<bool> polling_{false};
  std::atomic<int> event_{-1};  // eventfd that ends a poll; made on first use
};

/// A context's own decision of its wait, while its word is in the state `from`. False: somebody else's came first.
[[nodiscard]] bool settle_own(Context& self, std::uint64_t from, Outcome outcome) noexcept;
/// Whether a kill came between arm() and now, and has been made the outcome.
[[nodiscard]] bool killed_before_park(Context& self) noexcept;

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
