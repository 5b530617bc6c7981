#pragma once

// What DeadlineScope and Timeout are: a deadline for all waits of a context, in a stack of such. Headers of weft only.

#include <cstdint>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/base/label.hpp>
#include <weft/detail/context.hpp>

namespace weft::detail {

/// One limit among those of a context, from the innermost to the outermost. The context's own affair.
class TimeLimit {
 public:
  explicit TimeLimit(Deadline deadline) noexcept : TimeLimit{current_context(), deadline} {}
  /// One that can be told from others by what it throws.
  TimeLimit(Deadline deadline, Duration length, Label label) noexcept
      : TimeLimit{current_context(), deadline} {
    number_ = ++context_.timeouts_made;
    length_ = length;
    label_ = label;
  }
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;
  ~TimeLimit() {
    context_.time_limit = outer_;
    context_.scope_deadline = outer_ ? outer_->earliest_ : Deadline::never();
  }

  [[nodiscard]] Deadline deadline() const noexcept { return deadline_; }
  /// Also while there are limits within this one.
  void set(Deadline deadline, Duration length) noexcept {
    deadline_ = deadline;
    length_ = length;
    context_.scope_deadline = update(*context_.time_limit);
  }

  [[nodiscard]] bool threw(const TimeoutExpired& error) const noexcept {
    return error.context_ == context_.id && error.number_ == number_;
  }

  /// Throws for that of the context's limits which has expired first, of several at once for the outermost.
  [[noreturn]] static void throw_expired(const Context& self);

 private:
  TimeLimit(Context& context, Deadline deadline) noexcept
      : context_{context},
        outer_{context.time_limit},
        deadline_{deadline},
        earliest_{Deadline::earlier(deadline, context.scope_deadline)} {
    context.time_limit = this;
    context.scope_deadline = earliest_;
  }

  static Deadline update(TimeLimit& limit) noexcept {
    limit.earliest_ =
        limit.outer_ ? Deadline::earlier(limit.deadline_, update(*limit.outer_)) : limit.deadline_;
    return limit.earliest_;
  }

  Context& context_;
  TimeLimit* const outer_;
  Deadline deadline_;
  Deadline earliest_;         // of this one and those around it
  std::uint64_t number_ = 0;  // 0: it cannot be told from others
  Duration length_{};
  Label label_;
};

}  // namespace weft::detail
