#pragma once

#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/detail/deadlock_settings.hpp>

namespace weft {

/// What weft does about contexts that wait for each other for ever. Always on; only blocked contexts pay, a few stores each.
///
/// Found:         circles of waits without a deadline for a Lock, an RLock, an RWLock (with a writer or one reader), a Once or
///                the end of a thread or fiber, of threads and fibers mixed. A wait with a deadline, its own or a scope's, is
///                never part of one.
///                Across processes of one family (those that weft has started, and children of fork()): the same for process
///                locks, the end of a process, and results of and room in a pool of processes. A process ends by an act of any
///                of its threads: a join is part of a deadlock only while every single one of them is, known to weft or not.
///                Reported, and thrown, in the process of the one that blocked last, some 0.3 to 1 s after the circle closed.
///                A circle is confirmed before it is reported, some 0.1 to 0.3 s after it closed, later when hundreds of
///                thousands of fibers exist.
/// Then:          a report of one line a context (name, what it waits for, since when, where, who holds that) goes to the hook,
///                and the call that blocked last throws DeadlockError with the same text. One that may not throw (an exception
///                unwinds, a Shield, taking a lock again after Condition::wait) waits on. Where: with libdw installed and debug
///                information a file and line, otherwise a function.
/// Suspected:     what cannot be proved, as nobody in particular has to set an Event, is told only when everything stands still.
/// Thread-safety: all functions, from anywhere. Hooks are called one at a time by a thread of weft's own; they must not wait for what
///                they report.
/// Semantics:     Python has nothing like it: its programs hang.

/// DeadlockPolicy::Throw, Report or Abort. Default: Throw.
inline void set_deadlock_policy(DeadlockPolicy policy) { detail::set_deadlock_policy(policy); }
/// Replaces the hook. Default, and when empty: the report goes to stderr.
inline void set_deadlock_hook(ReportHook hook) { detail::set_deadlock_hook(std::move(hook)); }

/// When no context has moved for so long, and each waits, without a deadline, for another one: tells the hook, once, what all of
/// them wait for. Zero, the default: never.
inline void report_standstill_after(Duration quiet) { detail::set_standstill_reported_after(quiet.count()); }
/// Replaces the hook. Default, and when empty: the report goes to stderr.
inline void set_standstill_hook(ReportHook hook) { detail::set_standstill_hook(std::move(hook)); }

}  // namespace weft
