#pragma once

#include <cstddef>
#include <optional>

#include <weft/detail/context.hpp>
#include <weft/detail/greenlet_core.hpp>

#include "engine/fiber_context.hpp"
#include "engine/overflow.hpp"
#include "engine/thread_context.hpp"

namespace weft::detail {

/// What is kept of a greenlet that does not run. It stands at the high end of its stack; that of the first greenlet
/// of a context, whose stack is the context's own, in the hub.
struct GreenletStack : SwitchPoint {
  Stack stack;  // empty: the context's own
};

/// The greenlets of one context, and which of them runs. Made with the first of them.
///
/// greenlets.cpp is compiled without ThreadSanitizer's instrumentation, as worker.cpp is: it changes the stack under
/// its own functions.
///
/// A fiber that blocks is left and resumed on whichever of its stacks is current: what the worker keeps of it, but
/// for the sanitizers' part, is what was current when it left. That part is exchanged with each switch.
class GreenletHub {
 public:
  explicit GreenletHub(Context& host);
  ~GreenletHub();
  GreenletHub(const GreenletHub&) = delete;
  GreenletHub& operator=(const GreenletHub&) = delete;

  [[nodiscard]] GreenletCore& current() noexcept { return *current_; }
  [[nodiscard]] GreenletCore& root() noexcept { return *root_; }
  /// The current stack; empty: the context's own.
  [[nodiscard]] const Stack& stack() const noexcept { return current_->stack_->stack; }

  void cross(GreenletCore& to, void* own_inbox, const std::type_info* own_values);
  /// Ends `core`, which is not current, by GreenletExit.
  void unwind(GreenletCore& core) noexcept;
  void unwind_all() noexcept;
  /// Who is told of its end: the nearest that has not ended itself, from its parent on.
  [[nodiscard]] GreenletCore& heir_of(const GreenletCore& core) noexcept;

  /// Whether the address is in the guard page of the current stack. For signal handlers of its thread.
  [[nodiscard]] bool is_overflow(const void* address) const noexcept;
  void copy_name_of_current(char* text, std::size_t size) const noexcept;

  /// In a forked child: the context goes on as the thread's.
  void move_to_thread() noexcept;

 private:
  static void main(void* hub);

  void start(GreenletCore& core);
  [[noreturn]] void finish(GreenletCore& core) noexcept;
  void switch_to(GreenletCore& to) noexcept;
  void arrived() noexcept;
  void bury(GreenletCore& core) noexcept;
  [[nodiscard]] EhGlobals& exceptions() noexcept;
  [[nodiscard]] Stack take_stack(std::size_t bytes);
  void keep_stack(Stack stack) noexcept;

  static constexpr std::size_t kKeptStacks = 8;

  GreenletCore* current_ = nullptr;
  FiberContext* fiber_ = nullptr;     // the host; null: it is a thread
  EhGlobals* of_thread_ = nullptr;    // of such a thread
  GreenletCore* left_ = nullptr;      // who ran before
  GreenletCore* root_ = nullptr;
  GreenletCore* newest_ = nullptr;    // of those that are started
  GreenletStack root_stack_;
  std::size_t kept_ = 0;
  Stack kept_stacks_[kKeptStacks];    // of the usual size
  std::optional<OverflowGuard> overflow_guard_;  // for a thread; workers have one
};

/// At the end of a context, on it: ends the greenlets that are left.
void end_greenlets(Context& self) noexcept;
/// In a forked child: `heir`, the calling thread, goes on as `former`.
void inherit_greenlets(ThreadContext& heir, Context& former) noexcept;
void lock_greenlets_for_fork() noexcept;
void unlock_greenlets_after_fork() noexcept;

/// The stack that the calling thread, which serves as no worker, is on.
[[nodiscard]] ThreadStack stack_in_use(const Context& thread) noexcept;

}  // namespace weft::detail
