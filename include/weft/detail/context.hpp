#pragma once

// Whatever can block, and the one word that decides how a blocked attempt ends. No promises: headers of weft only.

#include <atomic>
#include <cstdint>

#include <weft/base/deadline.hpp>

namespace weft::detail {

/// What a blocked context waits for; part of its wait record.
enum class WaitKind : std::uint8_t { None, Sleep, Lock, Event, Condition, Semaphore, Queue, Join, Read, Write, Blocking };

/// How a blocked attempt ended: small numbers are the index of the entry that fired.
using Outcome = std::uint16_t;
inline constexpr Outcome kFired = 0;
inline constexpr Outcome kClosed = 1;
inline constexpr Outcome kTimedOut = 0xFFFF;
inline constexpr Outcome kCancelled = 0xFFFE;

/// The waiter word: one 64-bit atomic in the context, so that whoever ends a wait, and whoever only wants to
/// (a kill, a timer), races for one compare-and-swap and never touches the blocked frame after losing it.
///
///   bits 0-2  state      bit 3  shielded      bits 8-23  outcome      bits 24-63  epoch
///
///   state     meaning                                          leaves by
///   Settled   no wait, or a wait whose end is known            arm(), by its own context, with a plain store
///   Armed     the context has begun to wait                    fiber: Settled, thread: Claimed (anyone); Parked
///   Parked    the thread sleeps (its own futex call)           Claimed (anyone)
///   Claimed   decided; the claimer has not let go yet          Settled, by the claimer's deliver()
///
/// A fiber that waits runs again only through a run queue, where deliver() puts it: that is the claimer's letting go, and
/// no state need tell whether it rests already (FiberContext::resting does, to whoever takes it from the queue).
///
/// The epoch counts waits: a claim carries the epoch it was meant for and fails against any other.
namespace word {
inline constexpr std::uint64_t kSettled = 0, kArmed = 1, kParked = 2, kClaimed = 3;
inline constexpr std::uint64_t kStateMask = 7, kShielded = 8;
inline constexpr int kOutcomeShift = 8, kEpochShift = 24;
inline constexpr std::uint64_t kEpochOne = std::uint64_t{1} << kEpochShift, kEpochMask = ~(kEpochOne - 1);

constexpr std::uint64_t state(std::uint64_t w) { return w & kStateMask; }
constexpr std::uint64_t epoch(std::uint64_t w) { return w & kEpochMask; }
constexpr Outcome outcome(std::uint64_t w) { return static_cast<Outcome>(w >> kOutcomeShift); }
}  // namespace word

/// Counts forks: differs between a process and its ancestors.
extern std::atomic<std::uint32_t> forks_survived;
[[nodiscard]] inline std::uint32_t this_process() noexcept { return forks_survived.load(std::memory_order_relaxed); }

/// An OS thread or a fiber. Contexts are pooled and never unmapped while a stale waker might still hold a pointer.
class Context {
 public:
  enum class Kind : std::uint8_t { Thread, Fiber };

  Context(Kind context_kind, std::uint64_t context_id) : id{context_id}, kind{context_kind}, process{this_process()} {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  [[nodiscard]] bool is_fiber() const { return kind == Kind::Fiber; }
  [[nodiscard]] bool cancel_requested() const { return cancel.load(std::memory_order_relaxed); }

  std::atomic<std::uint64_t> waiter{0};
  /// Sticky. A killer sets it and then looks at the word; a context that waits arms the word and then, in park(), looks
  /// at the flag, with a full barrier in between on both sides: one of them sees the other.
  std::atomic<bool> cancel{false};
  std::uint64_t id;
  const Kind kind;
  std::uint32_t process;  // this_process() where it lives: after a fork, the contexts of the parent are nobody's

  // The wait record, for the debugger and later for inspection: written by the context itself before it parks.
  std::atomic<WaitKind> wait_kind{WaitKind::None};
  std::atomic<const void*> wait_object{nullptr};
};

/// The calling context. Never inlined: a thread_local address kept across a switch would name another thread's slot.
[[nodiscard]] Context& current_context() noexcept;
[[nodiscard]] std::uint64_t current_context_id() noexcept;

/// One attempt to block, seen from the object: a link in its wait list. Lives in the blocked frame.
struct Entry {
  Entry* next = nullptr;
  Entry* previous = nullptr;
  Context* context = nullptr;
  std::uint64_t epoch = 0;
  Outcome index = kFired;
  bool linked = false;
  bool was_parked = false;      // set by claim(), read by deliver(): a thread must be woken
  std::uint32_t tag = 0;        // meaning belongs to the object
  void* payload = nullptr;      // meaning belongs to the object
};

/// Begins a wait of the calling context: afterwards entries may be linked. False: this context was killed, and the wait
/// may be cancelled, and nothing is unwinding; the caller must throw_cancelled() without waiting.
enum class Cancellable : bool { No, Yes };
[[nodiscard]] bool arm(Context& self, Entry& entry, Cancellable cancellable) noexcept;

/// Decides a wait. True for exactly one caller per wait; that caller then owes a deliver() once it holds no list bit.
[[nodiscard]] bool claim(Entry& entry, Outcome outcome) noexcept;
/// Lets a claimed context run. `entry` is gone when this returns.
void deliver(Entry& entry) noexcept;
/// Delivers a chain linked by `next`.
void deliver_all(Entry* first) noexcept;

/// Sleeps until the wait that arm() began is decided. Never throws: kCancelled is an outcome.
[[nodiscard]] Outcome park(Context& self, WaitKind kind, const void* object, Deadline deadline) noexcept;

/// For waits that enter no list between arm() and park(): the barrier that taking a list bit is otherwise.
void fence_before_park() noexcept;

/// Undoes arm() when the caller found, before parking, that it need not wait. False: somebody has claimed the wait
/// already; park() must be called to learn the outcome.
[[nodiscard]] bool disarm(Context& self) noexcept;

/// Asks a context to end: wakes it when it waits where that is allowed, and is remembered otherwise.
void request_cancel(Context& context) noexcept;

/// Throws Cancelled when the calling context was killed, unless another exception unwinds.
void check_cancelled(const Context& self);
[[noreturn]] void throw_cancelled();
[[noreturn]] void throw_timeout(const char* operation);

}  // namespace weft::detail
