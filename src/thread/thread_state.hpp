#pragma once

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>

#include <weft/base/unique_function.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/thread/thread.hpp>

#include "thread/thread_options.hpp"

namespace weft::detail {

class ThreadState;

/// What handles of Thread refer to: one thread, or its stand-in.
///
/// All that changes is guarded by one lock for all threads, threads_lock(): starting and ending threads costs far more,
/// and a single lock can be held across fork().
class ThreadState : public std::enable_shared_from_this<ThreadState> {
 public:
  /// Own: made from a handle. Foreign: not started by weft. Fiber: stands in for a fiber, wherever that runs.
  enum class Kind : std::uint8_t { Own, Main, Foreign, Fiber };
  enum class Phase : std::uint8_t { New, Starting, Refused, Alive, Ended };

  explicit ThreadState(UniqueFunction<void()> body, bool droppable) : body_{std::move(body)}, droppable_{droppable} {}
  /// One that exists already.
  ThreadState(Kind kind, std::string name, std::uint64_t ident, int native_id);

  /// `object`: whose run() is the thread's work, kept alive by `keep` if that is not null; null: the callable is.
  void start(Thread* object, std::shared_ptr<Thread> keep);
  [[nodiscard]] bool join_until(Deadline deadline);
  // For a wait in several places; enlist(): false: it has ended.
  void require_joinable();
  [[nodiscard]] bool has_ended() const noexcept { return phase_.load(std::memory_order_acquire) == Phase::Ended; }
  [[nodiscard]] bool enlist(Entry& entry) noexcept;
  void withdraw(Entry& entry) noexcept;
  void kill();
  void call_body();

  [[nodiscard]] Kind kind() const noexcept { return kind_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool is_alive() const noexcept;
  [[nodiscard]] std::uint64_t ident() const noexcept { return ident_.load(std::memory_order_relaxed); }
  [[nodiscard]] int native_id() const noexcept { return native_id_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::string name();
  void set_name(std::string name);
  [[nodiscard]] bool daemon() const;
  void set_daemon(bool daemon);
  /// Changes the options by change(options); `what` for the error when it is too late.
  template <class Change>
  void set_option(const char* what, Change change) {
    const std::lock_guard guard{threads_lock()};
    require_new(what);
    change(options_);
  }

  /// Whether run() of this very object is going on, or about to.
  [[nodiscard]] bool runs_on(const Thread* object) const noexcept;
  /// Whether the callable is all that the thread needs.
  [[nodiscard]] bool droppable() const noexcept { return droppable_; }

  [[nodiscard]] static std::mutex& threads_lock() noexcept;

  ThreadState* next = nullptr;  // links of the list of all that live; guarded by threads_lock()
  ThreadState* previous = nullptr;

 private:
  friend class Threads;

  using Share = std::shared_ptr<ThreadState>;

  static void* enter(void* share);
  [[nodiscard]] bool create_thread(std::unique_ptr<Share> share);
  void await_begin() noexcept;
  [[nodiscard]] bool begin() noexcept;
  void work();
  void run_body(std::exception_ptr& failure);
  void end_body() noexcept;
  void release_body() noexcept;

  void attach_context(Context& context) noexcept;
  [[nodiscard]] std::string quoted_name();
  void give_default_name();
  void show_name() const noexcept;
  void require_new(const char* what) const;
  void settle(Phase phase, Entry*& starter) noexcept;
  [[nodiscard]] static std::size_t holder(const void* state, std::uint64_t* ids, std::size_t most) noexcept;

  std::atomic<Kind> kind_{Kind::Own};  // a child of fork() makes its only thread the main one
  std::atomic<Phase> phase_{Phase::New};
  std::atomic<std::uint64_t> ident_{0};
  std::atomic<int> native_id_{0};
  std::string name_;
  bool daemon_ = false;
  bool killed_ = false;
  bool in_body_ = false;        // from its beginning to the end of its work: its OS thread exists, and can be named
  Context* context_ = nullptr;  // at the same time, and while a foreign thread is known: where names and kills go to
  pthread_t handle_{};
  Entry* starter_ = nullptr;  // who waits for the beginning
  WaitList joiners_;
  Thread* object_ = nullptr;
  std::shared_ptr<Thread> keep_;

  // Of the thread that starts it until it has begun, then its own.
  UniqueFunction<void()> body_;
  ThreadOptions options_;
  sigset_t signals_{};
  Refusal refusal_;
  const bool droppable_ = true;
};

/// "std::runtime_error: no such thing".
[[nodiscard]] std::string describe(const std::exception_ptr& exception);
/// What is uncaught goes to the hook.
void report_uncaught(const std::shared_ptr<ThreadState>& state, std::exception_ptr failure) noexcept;

/// What the layer may do with handles.
struct ThreadAccess {
  [[nodiscard]] static Thread handle(std::shared_ptr<ThreadState> state) { return Thread{std::move(state)}; }
};

}  // namespace weft::detail
