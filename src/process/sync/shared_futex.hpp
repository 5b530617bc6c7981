#pragma once

#include <atomic>
#include <cstdint>

#include <weft/base/deadline.hpp>
#include <weft/detail/context.hpp>
#include <weft/detail/shared_way.hpp>

#include "process/memory/process_stamp.hpp"

// Waiting for a 32-bit word in memory that processes share: what the engine's parking is within one process. What an
// object of several processes does with it is a loop:
//
//   for (;;) {
//     seen = word;                        // is it so already? take it: return
//     if (nothing to be had) how = shared_wait(word, seen, ...);
//   }
//
// Wake-ups are hints, never grants: whoever is woken looks again, and competes. So a process that is killed after it
// was woken takes nothing with it, and one that is killed between a change and its wake-up strands nobody: as long as
// somebody waits, a thread of his own process compares each word with what was expected of it, every 10 to 100 ms,
// and at once when a process ends that one of them watches (Look).
namespace weft::process::detail {

/// Waits until the word is not `expected`, somebody wakes it, or the deadline passes. From threads and fibers; a
/// fiber does not block its worker. `record`: what reports and the search for deadlocks say
/// (weft/detail/context.hpp); set its `outside`.
///
/// weft::detail::kFired: look again, perhaps for nothing. kTimedOut. kInterrupted: let go of everything, then
/// throw_interruption(). A wake-up that comes together with one of the latter is passed on to the next waiter.
/// Ordering: seq_cst looks at the word; what precedes a change of it is visible to whoever then reads it with acquire.
/// Cost: a list under a process-wide mutex, and for a thread one system call (futex_waitv); a fiber costs a thread of
/// weft's own another one. The first wait in a while starts or wakes the thread that looks.
[[nodiscard]] weft::detail::Outcome shared_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                                                const weft::detail::Wait& record, Deadline deadline,
                                                weft::detail::Interruptible interruptible, Look look = {}) noexcept;

/// For a wait in several places (select()): the wait that `waiter.entry` belongs to may end, with the entry's number in its outcome, from
/// when its word is not what it expects. A thread of weft's sleeps on the word, for threads as for fibers. False: there is none to be had.
[[nodiscard]] bool shared_enlist(SharedWaiter& waiter) noexcept;
/// Unless the wait has ended by it. If its word has changed then, a wake-up may have come for it alone, which its object passes on.
void shared_withdraw(SharedWaiter& waiter) noexcept;

/// Wakes so many who wait for the word, in whatever process: how many were found asleep. After the change, of course.
int shared_wake(const std::atomic<std::uint32_t>& word, int count) noexcept;
inline constexpr int kWakeAll = 0x7FFFFFFF;

/// For a Look: whether a process has ended, from a table of pidfds; its end ends the wait of all looks, so that they
/// are asked at once. Cheap, but for the first time.
[[nodiscard]] bool watched_process_is_gone(ProcessStamp stamp) noexcept;

}  // namespace weft::process::detail
