#pragma once

namespace weft::detail {

class Scheduler;

/// One thread for the whole process that looks after every scheduler, and for deadlocks: once a millisecond while a worker is awake, ever
/// more rarely, down to not at all, while all sleep. It lets idle workers help one that does not switch, reports the
/// ones that do not switch for long, and lets stack pools shrink.
void monitor_add(Scheduler& scheduler);
void monitor_remove(Scheduler& scheduler) noexcept;
/// A worker stops sleeping: the monitor may have to resume. One relaxed load, but for the first time in a tick.
void monitor_notice_activity() noexcept;

/// A thread begins to wait for what another one holds, or somebody wants to know when all stands still: starts the monitor if
/// there is none, and wakes it. A load or two when it is awake.
void monitor_watch_waits() noexcept;

/// Around fork(), and in the child, which has no monitor and no schedulers.
void monitor_lock_for_fork() noexcept;
void monitor_unlock_after_fork(bool child) noexcept;

}  // namespace weft::detail
