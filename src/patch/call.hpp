#pragma once

#include <poll.h>
#include <sys/types.h>

#include <cerrno>
#include <type_traits>

#include <weft/base/deadline.hpp>

#include "engine/foreign_calls.hpp"

extern "C" {
/// Null where there is no engine, or one whose symbol the program does not export.
extern const weft::detail::ForeignCalls weft_foreign_calls __attribute__((weak));
}

namespace weft::patch {

using Helpers = detail::ForeignCalls::Helpers;

/// The engine that the fibers of this program run on, or null.
[[nodiscard]] inline const detail::ForeignCalls* engine() noexcept {
  const detail::ForeignCalls* found = &weft_foreign_calls;
  return found && found->version == detail::ForeignCalls::kVersion ? found : nullptr;
}

/// Whether the calling code runs on a fiber, so that it must not block its thread.
[[nodiscard]] inline bool on_fiber() noexcept {
  const detail::ForeignCalls* const found = engine();
  return found && found->on_fiber();
}

/// One blocking call that was made on a fiber: all its waiting goes through here.
class Call {
 public:
  /// `caller`: the return address, for reports.
  Call(const char* name, const void* caller) noexcept : name_{name}, caller_{caller} {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  [[nodiscard]] const char* name() const noexcept { return name_; }
  [[nodiscard]] const void* caller() const noexcept { return caller_; }

  /// As poll(2), but for `revents`. 1: it is worth looking again. 0: the deadline has passed. -EBADF: closed meanwhile.
  [[nodiscard]] int wait(const pollfd* polled, nfds_t count, Deadline deadline) const noexcept;
  void sleep_until(Deadline deadline) const noexcept;

  /// What job() returns on a helper thread, with the errno it leaves; on this thread when there is no helper to be had.
  template <class Job>
  auto on_helper(Job job, Helpers which = Helpers::Blocking) const noexcept {
    struct Run {
      Job& job;
      std::invoke_result_t<Job&> result{};
      int error = 0;
    } run{job};
    const auto run_it = [](void* passed) {
      auto& it = *static_cast<Run*>(passed);
      errno = 0;
      it.result = it.job();
      it.error = errno;
    };
    if (!try_on_helper(run_it, &run, which)) run_it(&run);
    errno = run.error;
    return run.result;
  }

 private:
  [[nodiscard]] bool try_on_helper(void (*job)(void*), void* argument, Helpers which) const noexcept;

  const char* const name_;
  const void* const caller_;
};

/// A Call named `call`, for the function that it stands in.
#define WEFT_PATCH_CALL(NAME) const ::weft::patch::Call call(NAME, __builtin_return_address(0))

/// The waiting of one call for one descriptor: as long as the timeout says that the program has set, and not at all
/// if the program has made it non-blocking. Asks for both only when there is something to wait for.
class Waits {
 public:
  /// `timeout`: SO_RCVTIMEO, SO_SNDTIMEO, or 0 for what is no socket.
  Waits(const Call& call, int fd, short events, int timeout) noexcept
      : call_{call}, fd_{fd}, events_{events}, timeout_{timeout} {}

  /// Whether the program takes the descriptor to be a blocking one.
  [[nodiscard]] bool may_wait() noexcept;
  /// After an attempt that found nothing. True: try again. False: errno is what the call ends with.
  [[nodiscard]] bool wait(int error_of_timeout = EAGAIN) noexcept;
  [[nodiscard]] bool is_ready() const noexcept;

  /// Makes attempts, none of which may block, until one does not say EAGAIN or there is no waiting.
  template <class Attempt>
  ssize_t repeat(Attempt attempt) noexcept {
    for (;;) {
      const ssize_t result = attempt();
      if (result >= 0) futile_ = 0;
      if (result >= 0 || errno != EAGAIN || !wait()) return result;
    }
  }

  /// For calls that cannot be told not to block: waits until one will probably not, then makes it on a helper
  /// thread, so that whoever is faster holds up that thread, and no worker.
  template <class Job>
  auto when_ready(Job job) noexcept {
    if (!may_wait()) return job();
    while (!is_ready()) {
      if (!wait()) return std::invoke_result_t<Job&>{-1};
    }
    return call_.on_helper(job);
  }

 private:
  const Call& call_;
  const int fd_;
  const short events_;
  const int timeout_;
  unsigned futile_ = 0;
  bool asked_ = false;
  bool blocking_ = false;
  Deadline deadline_ = Deadline::never();
};

/// F_GETFL, but never what is only so for the moment (flags.hpp).
[[nodiscard]] bool is_blocking(int fd) noexcept;
/// What SO_RCVTIMEO or SO_SNDTIMEO means for a call that begins now.
[[nodiscard]] Deadline socket_deadline(int fd, int option) noexcept;

}  // namespace weft::patch
