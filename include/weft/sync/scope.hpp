#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/detail/context.hpp>
#include <weft/detail/time_limit.hpp>

namespace weft {

/// Scopes: what a context, thread or fiber, says about all blocking calls that it makes while the object lives.
///
/// They are objects on the stack of the context they speak for: made, nested and destroyed by it, in the order of a stack. Not
/// subject to them: Lock::lock() and its kin, taking a lock again after a wait, destructors that join, blocking(), and whatever is
/// called while an exception unwinds.
/// Thread-safety: an object belongs to its context. Cost: some loads and stores; waits in it that outlast a scope's deadline are
/// timed waits.

/// Until when: a blocking call that would wait longer throws TimeoutError, whatever deadline of its own it has. Of nested ones the
/// earliest counts. A call that got what it waited for returns it, however late.
/// Semantics: after trio.move_on_at, but that it throws TimeoutError from the call. Timeout can be told from others.
class DeadlineScope {
 public:
  explicit DeadlineScope(Deadline deadline) noexcept : limit_{deadline} {}
  template <class Rep, class Period>
  explicit DeadlineScope(std::chrono::duration<Rep, Period> timeout) : DeadlineScope{Deadline::after(timeout)} {}
  DeadlineScope(const DeadlineScope&) = delete;
  DeadlineScope& operator=(const DeadlineScope&) = delete;

 private:
  detail::TimeLimit limit_;
};

/// Until asked to stop: when the token's source asks, the blocking call in progress, and every later one, throws Cancelled, as if
/// the context had been killed, until the scope is left. Catch Cancelled around the scope to go on.
/// Semantics: after std::condition_variable_any::wait with a std::stop_token, for every wait. A fiber had better call request_stop() in a
/// function that does nothing else: the standard library's code asks which thread it is on, and a compiler would remember
/// the answer across a switch.
class CancelScope {
 public:
  explicit CancelScope(std::stop_token token);
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;
  ~CancelScope();

 private:
  struct Stop {
    CancelScope& scope;
    void operator()() const noexcept;
  };

  detail::Context& context_;
  bool stopped_ = false;  // written by the callback, read when it can no longer run
  std::optional<std::stop_callback<Stop>> callback_;
};

/// For clean-up that must be able to wait: in it no kill, no scope around it and no deadlock ends a wait. A kill that comes
/// meanwhile takes effect at the first blocking call behind it.
/// Semantics: after trio's CancelScope(shield=True) and asyncio.shield.
class Shield {
 public:
  Shield() noexcept : context_{detail::current_context()} { ++context_.shields; }
  Shield(const Shield&) = delete;
  Shield& operator=(const Shield&) = delete;
  ~Shield() { --context_.shields; }

 private:
  detail::Context& context_;
};

}  // namespace weft
