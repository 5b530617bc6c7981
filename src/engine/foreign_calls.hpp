#pragma once

#include <poll.h>

#include <cstdint>

namespace weft::detail {

/// The pthread mutexes that a fiber has locked and not unlocked, as far as libweft-patch.so saw it.
struct ForeignLocks {
  struct Held {
    void* mutex;
    const void* locked_at;
  };
  static constexpr std::uint32_t kMost = 8;  ///< More are not told of.

  std::uint32_t count = 0;
  Held held[kMost];
};

/// What the engine does for libweft-patch.so, which makes the blocking calls of foreign libraries wait here.
///
/// A table behind one C symbol: the patch library needs nothing else of weft. So it serves a program with
/// libweft.so and one with libweft.a (which exports this symbol alone), never brings a second engine along, and
/// finds none where there is none.
///
/// A fiber that waits in one of these calls is pinned: it goes on on the same thread, because the foreign library
/// above it may have taken addresses of thread-local variables, errno among them. Nothing interrupts it, neither a
/// kill nor the deadline of a scope: C code cannot be unwound. Deadlines are nanoseconds of the steady clock,
/// INT64_MAX is never. None throws; all change errno.
struct ForeignCalls {
  static constexpr std::uint32_t kVersion = 1;
  std::uint32_t version;

  /// Whether the caller is a fiber that may wait. Not so in the midst of the engine's own work on a fiber's stack.
  bool (*on_fiber)() noexcept;
  /// Waits until it is worth looking again whether one of the descriptors has what is asked for (`revents` stay as
  /// they are): 1. 0: the deadline has passed. -EBADF: one was closed meanwhile. Other negative errno values: it
  /// cannot be waited for.
  int (*wait)(const pollfd* polled, std::uint64_t count, std::int64_t deadline) noexcept;
  void (*sleep_until)(std::int64_t deadline) noexcept;
  /// Runs job(argument) on a helper thread and waits for its end. False: there is no thread to be had, and nothing
  /// was run.
  enum class Helpers : std::uint8_t { Blocking, Resolver };
  bool (*run_on_helper)(void (*job)(void*), void* argument, Helpers which) noexcept;

  // Around a close of `first` to `last`, on any thread: who waits for them is told -EBADF, and nobody who begins to
  // wait in between is forgotten.
  void (*closing)(unsigned first, unsigned last) noexcept;
  void (*closed)(unsigned first, unsigned last) noexcept;

  /// Of the running fiber. Null: not on one.
  ForeignLocks* (*locks)() noexcept;
  /// Writes "name" or Fiber-n, with a zero behind it; only on a fiber.
  void (*name)(char* text, std::uint64_t size) noexcept;
  /// The patch library is in place. What it could not patch, as for weft::patch::unpatched(); strings that stay.
  void (*patched)(const char* const* unpatched, std::uint64_t count) noexcept;
};

}  // namespace weft::detail

extern "C" {
/// See ForeignCalls.
extern const weft::detail::ForeignCalls weft_foreign_calls;
}
