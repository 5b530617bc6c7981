#pragma once

// Whatever can block, and the one word that decides how a blocked attempt ends. No promises: headers of weft only.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include <weft/base/deadline.hpp>
#include <weft/base/label.hpp>
#include <weft/detail/context_name.hpp>

namespace weft::detail {

/// What a blocked context waits for. tools/gdb/weft-gdb.py knows these by number.
enum class WaitKind : std::uint8_t {
  None, Sleep, Lock, Event, Condition, Semaphore, Queue, Join, Read, Write, Blocking, RLock, RWLock, Once, Select, Future,
  Room, Process, Work
};

/// What is waited for, if a kind and a label cannot tell: the object of a wait of the kinds Future, Room and Work.
class Explained {
 public:
  /// For reports: "queued in ...". Called as `Holders` are.
  virtual void explain(char* text, std::size_t room) const noexcept = 0;

 protected:
  ~Explained() = default;
};

/// Whose act ends a wait: writes up to `most` context ids and returns how many there are; 0: nobody in particular. Called by
/// the monitor's thread while the waiter is held in its wait, so that the object exists; it must not block.
using Holders = std::size_t (*)(const void* object, std::uint64_t* ids, std::size_t most) noexcept;

/// The wait record: what a blocked context waits for, as reports and the search for deadlocks need it. In the blocked frame.
struct Wait {
  WaitKind kind = WaitKind::None;
  const void* object = nullptr;
  Label label = {};
  Holders holders = nullptr;

  // Filled by park():
  std::int64_t since = 0;         ///< Steady-clock nanoseconds, for a fiber as coarse as the monitor's tick.
  const void* frame = nullptr;    ///< Frame pointer of park(): where the walk along the callers begins.
  bool timed = false;             ///< Ends by itself, at a deadline.

  bool outside = false;           ///< A select(): something outside of this process may end it. Not filled by park().
};

/// How a blocked attempt ended: in the low eight bits what the object says, above them which of a select()'s cases it was.
using Outcome = std::uint16_t;
inline constexpr Outcome kFired = 0;
inline constexpr Outcome kClosed = 1;
inline constexpr Outcome kTimedOut = 0xFFFF;
inline constexpr Outcome kInterrupted = 0xFFFE;  ///< By a kill, a scope or a deadlock: throw_interruption() knows.

/// The waiter word: one 64-bit atomic in the context, so that whoever ends a wait, and whoever only wants to
/// (a kill, a timer), races for one compare-and-swap and never touches the blocked frame after losing it.
///
///   bits 0-2  state      bit 3  shielded      bit 4  pinned      bit 5  cannot throw      bits 8-23  outcome
///   bits 24-63  epoch
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
///
/// Pinned: somebody reads the wait record. It is set only while the wait is undecided, by a compare-and-swap, and stays through
/// whatever decides the wait; its context looks for it when it reads the outcome, and does not leave the wait before it is
/// gone. So what the record points to exists as long, and a wait that nobody looks at pays nothing.
namespace word {
inline constexpr std::uint64_t kSettled = 0, kArmed = 1, kParked = 2, kClaimed = 3;
inline constexpr std::uint64_t kStateMask = 7, kShielded = 8, kPinned = 16, kCannotThrow = 32;
inline constexpr int kOutcomeShift = 8, kEpochShift = 24;
inline constexpr std::uint64_t kEpochOne = std::uint64_t{1} << kEpochShift, kEpochMask = ~(kEpochOne - 1);

constexpr std::uint64_t state(std::uint64_t w) { return w & kStateMask; }
constexpr std::uint64_t epoch(std::uint64_t w) { return w & kEpochMask; }
constexpr Outcome outcome(std::uint64_t w) { return static_cast<Outcome>(w >> kOutcomeShift); }
}  // namespace word

/// Counts forks: differs between a process and its ancestors.
extern std::atomic<std::uint32_t> forks_survived;
[[nodiscard]] inline std::uint32_t this_process() noexcept { return forks_survived.load(std::memory_order_relaxed); }

class GreenletHub;
class LocalTable;
class TimeLimit;

/// An OS thread or a fiber. Contexts are pooled and never unmapped while a stale waker might still hold a pointer.
class Context {
 public:
  enum class Kind : std::uint8_t { Thread, Fiber };

  Context(Kind context_kind, std::uint64_t context_id) : id{context_id}, kind{context_kind}, process{this_process()} {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  [[nodiscard]] bool is_fiber() const { return kind == Kind::Fiber; }
  /// By a kill, or by a scope around it that was asked to stop.
  [[nodiscard]] bool cancel_requested() const { return cancel.load(std::memory_order_relaxed) != 0; }

  std::atomic<std::uint64_t> waiter{0};
  static constexpr std::uint32_t kKilled = 1, kStoppedScope = 2;
  /// kKilled is sticky; above it, how many scopes around the context were asked to stop. A killer changes it and then looks at the word; a context that waits arms the word and then, in park(), looks
  /// at the flag, with a full barrier in between on both sides: one of them sees the other.
  std::atomic<std::uint32_t> cancel{0};
  std::uint64_t id;
  const Kind kind;
  std::uint32_t process;  // this_process() where it lives: after a fork, the contexts of the parent are nobody's

  // The scopes it is in (weft/sync/scope.hpp): its own affair.
  Deadline scope_deadline;          // the earliest of them
  TimeLimit* time_limit = nullptr;  // the innermost
  std::uint64_t timeouts_made = 0;
  std::uint32_t shields = 0;

  /// The signal that stopped the scope around it, if one did, negative once KeyboardInterrupt has been thrown: see InterruptScope.
  std::atomic<int> interrupted_by{0};

  ContextName name;
  /// Why its wait was interrupted, if for a deadlock: written, under a pin, by whoever then interrupts it, taken by
  /// throw_interruption().
  std::atomic<std::string*> verdict{nullptr};
  /// The wait record: written by the context itself as it parks, read by others under a Pin.
  std::atomic<const Wait*> wait{nullptr};
  /// A hint, for who looks at very many: its wait is one that only the act of known contexts can end.
  std::atomic<bool> held_up{false};

  LocalTable* locals = nullptr;  // its own values of Locals; null: it has none
  GreenletHub* greenlets = nullptr;  // the stacks it switches between; null: it has but its own
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
  Outcome index = 0;            // bits of the outcome that tell it from other entries of the same wait
  bool linked = false;
  bool was_parked = false;      // set by claim(), read by deliver(): a thread must be woken
  std::uint32_t tag = 0;        // meaning belongs to the object
  void* payload = nullptr;      // meaning belongs to the object
};

/// What may end a wait beside what it waits for and its own deadline. Nothing may while an exception unwinds.
enum class Interruptible : std::uint8_t {
  No,          ///< Nothing.
  ByDeadlock,  ///< It may be found to be part of a deadlock.
  Yes          ///< That, a kill, and the end of a scope around it.
};

/// Begins a wait of the calling context: afterwards entries may be linked. False: it is interrupted already; the caller must
/// throw_interruption() without waiting.
[[nodiscard]] bool arm(Context& self, Entry& entry, Interruptible interruptible) noexcept;

/// Makes `other` an entry of the wait that was armed with `armed`: number `number` of several, of which one decides it.
inline void share_wait(const Entry& armed, Entry& other, std::size_t number) noexcept {
  other.context = armed.context;
  other.epoch = armed.epoch;
  other.index = static_cast<Outcome>(number << 8);
}
[[nodiscard]] constexpr std::size_t selected_case(Outcome outcome) { return outcome >> 8; }
[[nodiscard]] constexpr Outcome selected_how(Outcome outcome) { return outcome & 0xFF; }

/// Decides a wait. True for exactly one caller per wait; that caller then owes a deliver() once it holds no list bit.
[[nodiscard]] bool claim(Entry& entry, Outcome outcome) noexcept;
/// Lets a claimed context run. `entry` is gone when this returns.
void deliver(Entry& entry) noexcept;
/// Delivers a chain linked by `next`.
void deliver_all(Entry* first) noexcept;

/// Sleeps until the wait that arm() began is decided. Never throws: kInterrupted is an outcome.
[[nodiscard]] Outcome park(Context& self, Wait wait, Deadline deadline) noexcept;

/// Keeps a context in the wait it is in, if it is in one, so that its record can be read. Brief: its wake-up may wait for it.
/// No order is needed among pins; a context may be pinned by one at a time, others wait.
class Pin {
 public:
  explicit Pin(Context& context) noexcept;
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin();

  /// Whether it waits, parked or about to be.
  explicit operator bool() const noexcept { return wait_ != nullptr; }
  [[nodiscard]] const Wait& wait() const noexcept { return *wait_; }
  /// The waiter word when it was pinned.
  [[nodiscard]] std::uint64_t seen() const noexcept { return seen_; }

 private:
  Context& context_;
  std::uint64_t seen_ = 0;
  const Wait* wait_ = nullptr;
  bool pinned_ = false;
};

/// For waits that enter no list between arm() and park(): the barrier that taking a list bit is otherwise.
void fence_before_park() noexcept;

/// Undoes arm() when the caller found, before parking, that it need not wait. False: somebody has claimed the wait
/// already; park() must be called to learn the outcome.
[[nodiscard]] bool disarm(Context& self) noexcept;
/// Undoes arm() of a caller whose entry is in no list: only a kill can have decided it, and what was waited for came first.
/// The kill is remembered for the next wait.
void disarm_granted(Context& self) noexcept;

/// Asks a context to end: wakes it when it waits where that is allowed, and is remembered otherwise.
void request_cancel(Context& context) noexcept;
/// The same for a scope around it, until that is left: stop_scope() by anybody, forget_stopped_scope() by the context itself.
void stop_scope(Context& context) noexcept;
void forget_stopped_scope(Context& self) noexcept;

/// Throws Cancelled when the calling context was killed, TimeoutError when a scope's deadline has passed; nothing while another
/// exception unwinds, or it is shielded.
void check_cancelled(const Context& self);
/// Throws what a wait of the calling context was interrupted for.
[[noreturn]] void throw_interruption();
[[noreturn]] void throw_timeout(const char* operation);

}  // namespace weft::detail
