#include <weft/detail/byte_queue.hpp>

#include <array>
#include <string>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/detail/context.hpp>
#include <weft/detail/queue_core.hpp>

#include "process/queue/queue_memory.hpp"
#include "process/sync/shared_futex.hpp"

namespace weft::process::detail {

using weft::detail::Interruptible;
using weft::detail::Outcome;
using weft::detail::WaitKind;

// ---- who waits -----------------------------------------------------------------------------------------------------

void QueueSignal::notify_one() noexcept {
  std::uint32_t waiting = sleepers.load(std::memory_order_relaxed);
  do {
    if (waiting == 0) [[likely]]
      return;
  } while (!sleepers.compare_exchange_weak(waiting, waiting - 1, std::memory_order_relaxed));
  // Changed as well: one who has not fallen asleep yet does not.
  changes.fetch_add(1, std::memory_order_seq_cst);
  shared_wake(changes, 1);
}

// Whoever is about to wake somebody has taken one off before he changes `changes`. If that was ours, we take off another sleeper's, who is
// the one that is then woken: as many are left as sleep.
void QueueSignal::leave() noexcept {
  std::uint32_t waiting = sleepers.load(std::memory_order_relaxed);
  while (waiting != 0 && !sleepers.compare_exchange_weak(waiting, waiting - 1, std::memory_order_relaxed)) {
  }
}

void QueueSignal::notify_all() noexcept {
  if (sleepers.exchange(0, std::memory_order_seq_cst) == 0) return;
  changes.fetch_add(1, std::memory_order_seq_cst);
  shared_wake(changes, kWakeAll);
}

namespace {

bool ended(const QueueControl& control) noexcept {
  return control.end.load(std::memory_order_seq_cst) != QueueEnd::Open;
}

std::uint64_t size_of(const QueueControl& control) noexcept {
  // In this order: it is never negative.
  const std::uint64_t got = control.gets.count.load(std::memory_order_seq_cst);
  return control.puts.count.load(std::memory_order_seq_cst) - got;
}

bool has_items(const QueueControl& control) noexcept {
  return size_of(control) != 0 || ended(control);
}
bool has_room(const QueueControl& control) noexcept {
  return size_of(control) < control.maxsize || ended(control);
}

/// Tasks are what was put; after an immediate end, what was got before: more may be done, as nobody must get an item to
/// say so.
std::uint64_t tasks(const QueueControl& control) noexcept {
  const bool dropped = control.end.load(std::memory_order_seq_cst) == QueueEnd::Immediate;
  return (dropped ? control.gets : control.puts).count.load(std::memory_order_seq_cst);
}
bool all_tasks_done(const QueueControl& control) noexcept {
  return control.done.load(std::memory_order_seq_cst) >= tasks(control);
}

/// What unlocking leaves between a change and the look for sleepers.
void fence_after_unlock() noexcept {
#if !defined(__x86_64__)
  // There the compare-and-swap that unlocks is a full barrier.
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace

// ---- the parts -----------------------------------------------------------------------------------------------------

/// So long does a call that may not wait look for the lock of its side: others have it for a moment, unless one has been stopped.
constexpr std::chrono::milliseconds kLongestTry{100};

/// Holds the lock of one side for the few steps of a put or a get.
class ByteQueue::Held {
 public:
  /// A call that may wait gives up at its deadline, and when it is interrupted: the owner may have been stopped, or
  /// copy a great deal.
  Held(ByteQueue& queue, SharedLockWord& lock, Deadline deadline, MayWait may_wait) : lock_{lock} {
    const SharedLockWord::Described what{WaitKind::Queue, queue.label_};
    held_ = may_wait == MayWait::Yes
                ? lock_.lock_until(deadline, Interruptible::Yes, what)
                : lock_.try_lock() || lock_.lock_until(Deadline::after(kLongestTry), Interruptible::No, what);
    note_if_died(queue);
  }
  /// Until it has it, for what cannot be left undone.
  Held(ByteQueue& queue, SharedLockWord& lock) : lock_{lock} {
    lock_.lock({WaitKind::Queue, queue.label_});
    held_ = true;
    note_if_died(queue);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    if (held_) (void)lock_.unlock();
  }

  explicit operator bool() const noexcept { return held_; }
  void release() noexcept {
    held_ = false;
    (void)lock_.unlock();
    fence_after_unlock();
  }

 private:
  // The stream itself is whole at any time; segments may have been lost, which is mended when one is needed.
  void note_if_died(ByteQueue& queue) noexcept {
    if (!held_ || !lock_.owner_died()) [[likely]]
      return;
    queue.control_.needs_repair.store(1, std::memory_order_relaxed);
    lock_.recovered();
  }

  SharedLockWord& lock_;
  bool held_ = false;
};

/// Of one who has slept and may have been woken for a change: if he ends otherwise than by using it, somebody else is
/// to have it.
class ByteQueue::Passing {
 public:
  Passing(QueueSignal& signal, const QueueControl& control, Holds holds) noexcept
      : signal_{signal}, control_{control}, holds_{holds} {}
  Passing(const Passing&) = delete;
  Passing& operator=(const Passing&) = delete;
  ~Passing() {
    if (passes_ && holds_(control_)) signal_.notify_one();
  }
  void used() noexcept { passes_ = false; }

 private:
  QueueSignal& signal_;
  const QueueControl& control_;
  const Holds holds_;
  bool passes_ = true;
};

void ItemRoom::enlarge(std::size_t size) {
  heap_ = std::make_unique_for_overwrite<std::byte[]>(size);
  room_ = {heap_.get(), size};
}

ByteQueue::ByteQueue(std::size_t maxsize, std::uint64_t type, Label label)
    : memory_{std::make_unique<QueueMemory>(QueueMemory::Setup{maxsize, type, label.name()})},
      control_{memory_->control()},
      label_{label} {}

ByteQueue::ByteQueue(OwnedFd file, std::uint64_t type)
    : memory_{std::make_unique<QueueMemory>(std::move(file), type)},
      control_{memory_->control()},
      label_{control_.name[0] ? control_.name : nullptr, {}} {}

ByteQueue::~ByteQueue() = default;

int ByteQueue::file() const noexcept {
  return memory_->file();
}
std::size_t ByteQueue::maxsize() const noexcept {
  return control_.maxsize;
}
bool ByteQueue::is_shut_down() const noexcept {
  return ended(control_);
}

std::size_t ByteQueue::size() const noexcept {
  if (control_.end.load(std::memory_order_relaxed) == QueueEnd::Immediate) return 0;
  return size_of(control_);
}

// ---- put and get ---------------------------------------------------------------------------------------------------
//
// A process that is killed in here, by the place where it happens:
//   before count is stored (publish)   nothing was put, or got: whoever had it still has it
//   between that and unlock            it was put, or is gone with the getter; the next one takes the lock and is told
//   between that and notify_one()      those who sleep have a Look that sees it: they go on within a tenth of a second
//   asleep, or woken                   the same: who sleeps besides looks for himself
// Nobody else's step is needed for any of it.

ByteQueue::Attempt ByteQueue::try_put(std::span<const std::byte> bytes, Deadline deadline, MayWait may_wait) {
  Held held{*this, control_.puts.lock, deadline, may_wait};
  if (!held) return Attempt::TooLate;
  if (ended(control_)) return Attempt::Ended;
  QueueSide& puts = control_.puts;
  if (control_.maxsize != 0) {
    const std::uint64_t count = puts.count.load(std::memory_order_relaxed);
    if (count - puts.known_other >= control_.maxsize)
      puts.known_other = control_.gets.count.load(std::memory_order_acquire);
    if (count - puts.known_other >= control_.maxsize) return Attempt::MustWait;
  }
  memory_->publish(memory_->write(bytes));
  held.release();
  control_.items.notify_one();
  return Attempt::Done;
}

ByteQueue::Attempt ByteQueue::try_get(ItemRoom& item, Deadline deadline, MayWait may_wait) {
  for (;;) {
    Held held{*this, control_.gets.lock, deadline, may_wait};
    if (!held) return Attempt::TooLate;
    QueueSide& gets = control_.gets;
    const QueueEnd end = control_.end.load(std::memory_order_relaxed);
    if (end == QueueEnd::Immediate) return Attempt::Ended;
    const std::uint64_t count = gets.count.load(std::memory_order_relaxed);
    if (count == gets.known_other) {
      gets.known_other = control_.puts.count.load(std::memory_order_acquire);
      if (count == gets.known_other) return end == QueueEnd::Open ? Attempt::MustWait : Attempt::Ended;
    }
    const QueueMemory::Read read = memory_->read(item.room());
    if (read.next.segment == kNoSegment) [[unlikely]] {
      held.release();
      item.enlarge(read.size);  // by then it may be another's, and the next one larger
      continue;
    }
    if (control_.has_ledger) control_.ledger.note_taken();
    memory_->take(read.next);
    held.release();
    item.set_size(read.size);
    if (control_.maxsize != 0) control_.room.notify_one();
    return Attempt::Done;
  }
}

bool ByteQueue::put(std::span<const std::byte> bytes, Deadline deadline, MayWait may_wait) {
  const Attempt attempt = try_put(bytes, deadline, may_wait);
  if (attempt == Attempt::Done) [[likely]]
    return true;
  if (attempt == Attempt::Ended) weft::detail::throw_queue_shut_down("put into");
  return attempt == Attempt::MustWait && may_wait == MayWait::Yes && put_slowly(bytes, deadline);
}

bool ByteQueue::get(ItemRoom& item, Deadline deadline, MayWait may_wait) {
  const Attempt attempt = try_get(item, deadline, may_wait);
  if (attempt == Attempt::Done) [[likely]]
    return true;
  return attempt == Attempt::MustWait && may_wait == MayWait::Yes && get_slowly(item, deadline);
}

// A thread looks on for a moment before it sleeps: see Patience.
//
// The last attempt comes when the deadline has passed. TooLate ends a wait as well, whatever the queue holds: whoever has the lock has
// been stopped, and to look for an item that cannot be had would go on for ever.
bool ByteQueue::put_slowly(std::span<const std::byte> bytes, Deadline deadline) {
  const std::uint64_t got = control_.gets.count.load(std::memory_order_relaxed);
  bool in_time = !weft::detail::current_context().is_fiber() && !has_room(control_) &&
                 putters_patience_.wait(control_.gets.count, got, 0, deadline);
  const auto attempt_once = [&] {
    const Attempt attempt = try_put(bytes, deadline, MayWait::Yes);
    if (attempt == Attempt::Ended) weft::detail::throw_queue_shut_down("put into");
    return attempt;
  };
  if (in_time) {
    const Attempt attempt = attempt_once();
    if (attempt != Attempt::MustWait) return attempt == Attempt::Done;
  }
  Passing passing{control_.room, control_, has_room};
  do {
    in_time = wait(control_.room, has_room, deadline);
    const Attempt attempt = attempt_once();
    if (attempt == Attempt::MustWait) continue;
    if (attempt == Attempt::Done) passing.used();
    return attempt == Attempt::Done;
  } while (in_time);
  return false;
}

bool ByteQueue::get_slowly(ItemRoom& item, Deadline deadline) {
  const std::uint64_t got =
      control_.gets.count.load(std::memory_order_relaxed);  // as many were put, while it is empty
  bool in_time = !weft::detail::current_context().is_fiber() && !has_items(control_) &&
                 getters_patience_.wait(control_.puts.count, got, 0, deadline);
  if (in_time) {
    const Attempt attempt = try_get(item, deadline, MayWait::Yes);
    if (attempt != Attempt::MustWait) return attempt == Attempt::Done;
  }
  Passing passing{control_.items, control_, has_items};
  do {
    in_time = wait(control_.items, has_items, deadline);
    const Attempt attempt = try_get(item, deadline, MayWait::Yes);
    if (attempt == Attempt::MustWait) continue;
    if (attempt != Attempt::TooLate) passing.used();
    return attempt == Attempt::Done;
  } while (in_time);
  return false;
}

namespace {

struct Looked {
  const QueueControl& control;
  bool (*holds)(const QueueControl&) noexcept;

  static bool look(void* object) noexcept {
    const auto& looked = *static_cast<const Looked*>(object);
    return looked.holds(looked.control);
  }
};

}  // namespace

/// Until it may hold; false: not in time. See QueueSignal.
bool ByteQueue::wait(QueueSignal& signal, Holds holds, Holds seen_to_hold, Deadline deadline) {
  if (holds(control_)) return true;
  const std::uint32_t seen = signal.changes.load(std::memory_order_seq_cst);
  signal.sleepers.fetch_add(1, std::memory_order_seq_cst);
  if (holds(control_)) return true;
  Looked looked{control_, seen_to_hold};
  const weft::detail::Wait record{.kind = WaitKind::Queue, .object = this, .label = label_, .outside = true};
  const Outcome outcome =
      shared_wait(signal.changes, seen, record, deadline, Interruptible::Yes, {Looked::look, &looked});
  if (outcome == weft::detail::kInterrupted) weft::detail::throw_interruption();
  return outcome != weft::detail::kTimedOut;
}

// ---- for select() --------------------------------------------------------------------------------------------------
//
// As in wait(), but that the sleep is another's affair. A kill at any point leaves one sleeper too many on the count, at most.

namespace {

template <bool (*kHolds)(const QueueControl&) noexcept>
bool expect_change(QueueSignal& signal, QueueControl& control, SharedWaiter& waiter) noexcept {
  waiter.word = &signal.changes;
  waiter.expected = signal.changes.load(std::memory_order_seq_cst);
  signal.sleepers.fetch_add(1, std::memory_order_seq_cst);
  waiter.look = {[](void* object) noexcept { return kHolds(*static_cast<const QueueControl*>(object)); }, &control};
  if (!kHolds(control)) return true;
  if (!waiter.has_changed()) signal.leave();
  return false;
}

}  // namespace

bool ByteQueue::expect_item(SharedWaiter& waiter) noexcept { return expect_change<has_items>(control_.items, control_, waiter); }
bool ByteQueue::expect_room(SharedWaiter& waiter) noexcept { return expect_change<has_room>(control_.room, control_, waiter); }

void ByteQueue::leave_items(bool told) noexcept {
  if (!told) return control_.items.leave();
  if (has_items(control_)) control_.items.notify_one();
}
void ByteQueue::leave_room(bool told) noexcept {
  if (!told) return control_.room.leave();
  if (has_room(control_)) control_.room.notify_one();
}

// ---- tasks and the end ---------------------------------------------------------------------------------------------

void ByteQueue::task_done() {
  std::uint64_t done = control_.done.load(std::memory_order_relaxed);
  do {
    if (done >= tasks(control_)) weft::detail::throw_task_done_too_often();
  } while (!control_.done.compare_exchange_weak(done, done + 1, std::memory_order_seq_cst,
                                                std::memory_order_relaxed));
  if (control_.has_ledger) control_.ledger.note_done();
  if (all_tasks_done(control_)) control_.all_done.notify_all();
}

void ByteQueue::count_tasks() noexcept { control_.has_ledger = 1; }

namespace {

/// Nothing is left to be taken, something is not done, and it is in nobody's hands who lives. What was looked at first is looked at
/// once more: the ledger tells of one moment only if nothing was put, taken or done meanwhile.
template <bool (*kIsGone)(ProcessStamp)>
bool has_lost_tasks(const QueueControl& control) noexcept {
  const auto counts = [&] {
    return std::array{control.done.load(std::memory_order_seq_cst), control.gets.count.load(std::memory_order_seq_cst),
                      control.puts.count.load(std::memory_order_seq_cst)};
  };
  const auto before = counts();
  const bool is_empty = before[1] == before[2] || control.end.load(std::memory_order_seq_cst) == QueueEnd::Immediate;
  return is_empty && !all_tasks_done(control) && control.ledger.are_all_in_dead_hands(kIsGone) && counts() == before;
}

bool is_gone(ProcessStamp stamp) { return process_is_gone(stamp); }
bool is_gone_as_looks_know(ProcessStamp stamp) { return watched_process_is_gone(stamp); }

bool is_over(const QueueControl& control) noexcept { return all_tasks_done(control) || has_lost_tasks<is_gone>(control); }
bool is_seen_over(const QueueControl& control) noexcept {
  return all_tasks_done(control) || has_lost_tasks<is_gone_as_looks_know>(control);
}

}  // namespace

bool ByteQueue::join(Deadline deadline) {
  while (!all_tasks_done(control_)) {
    if (has_lost_tasks<is_gone>(control_)) fail_lost_tasks();
    if (!wait(control_.all_done, is_over, is_seen_over, deadline)) return all_tasks_done(control_);
  }
  return true;
}

void ByteQueue::fail_lost_tasks() const {
  const std::uint64_t lost = tasks(control_) - control_.done.load(std::memory_order_relaxed);
  throw TasksLost{"join the queue " + label_.text() + ": " + std::to_string(lost) +
                  (lost == 1 ? " task was" : " tasks were") +
                  " taken by a process that has ended, and that did not say task_done(); whoever knows what became of them says it "
                  "instead, and puts them again if they are to be done"};
}

// Both locks, in this order: nobody is in the middle of a put or a get, and none that comes later misses it.
void ByteQueue::shutdown(bool immediate) noexcept {
  {
    Held no_puts{*this, control_.puts.lock};
    Held no_gets{*this, control_.gets.lock};
    if (!ended(control_)) control_.end.store(QueueEnd::Gentle, std::memory_order_seq_cst);
    if (immediate && control_.end.load(std::memory_order_relaxed) != QueueEnd::Immediate) {
      control_.end.store(QueueEnd::Immediate, std::memory_order_seq_cst);
      memory_->discard();
    }
  }
  control_.items.notify_all();
  control_.room.notify_all();
  control_.all_done.notify_all();
}

}  // namespace weft::process::detail
