#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "thread/thread_state.hpp"

namespace weft::detail {

/// All threads that live, and what they are to the process: which one is main, whom its end waits for.
class Threads {
 public:
  constexpr Threads() = default;

  [[nodiscard]] static Threads& all() noexcept;

  // With threads_lock() held.
  void enlist(ThreadState& state) noexcept;
  void strike(ThreadState& state) noexcept;
  [[nodiscard]] std::string next_name() { return "Thread-" + std::to_string(++last_number_); }

  /// The end of the process waits for it from now on.
  void count_in() noexcept { non_daemons_.fetch_add(1, std::memory_order_relaxed); }
  void count_out() noexcept;

  [[nodiscard]] std::vector<std::shared_ptr<ThreadState>> alive();
  [[nodiscard]] std::size_t count();
  [[nodiscard]] std::shared_ptr<ThreadState> main();

  /// The calling thread's, not for fibers; made if need be.
  [[nodiscard]] std::shared_ptr<ThreadState> current();
  /// The calling thread is this one from now until its last thread_local object has been destroyed.
  void become(std::shared_ptr<ThreadState> state);
  /// Whether the caller is a daemon, or does the bidding of one.
  [[nodiscard]] bool current_is_daemon();

  /// The process ends, and has waited for all it had to wait for.
  [[nodiscard]] bool over() const noexcept { return over_.load(std::memory_order_relaxed); }
  void wait_for_non_daemons() noexcept;
  void see_to_the_end() noexcept;
  /// Called, perhaps twice, when all that is waited for has ended: what a layer above has to end next. For ever.
  void call_next(void (*step)() noexcept) noexcept { next_step_.store(step, std::memory_order_relaxed); }

  void know_main();
  void end_main(ThreadState& state) noexcept;
  void end_own(ThreadState& state) noexcept;
  void end_foreign(ThreadState& state) noexcept;

  void after_fork_in_child() noexcept;

  std::mutex lock;

 private:
  [[nodiscard]] std::shared_ptr<ThreadState> add_foreign(std::uint64_t ident);
  void end(ThreadState& state) noexcept;

  ThreadState* first_ = nullptr;  // this and the next six: guarded by lock
  ThreadState* lost_ = nullptr;   // those that this process has not inherited from its parent; never looked at
  std::size_t count_ = 0;
  unsigned last_number_ = 0;
  unsigned last_foreign_ = 0;
  std::shared_ptr<ThreadState> main_;
  std::uint64_t main_ident_ = 0;
  std::atomic<std::uint32_t> non_daemons_{0};
  std::atomic<bool> seen_to_{false};
  std::atomic<bool> over_{false};
  std::atomic<void (*)() noexcept> next_step_{nullptr};
};

}  // namespace weft::detail
