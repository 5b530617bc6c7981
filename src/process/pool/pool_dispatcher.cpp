// The thread of a pool of processes that starts workers and buries them, watches the limits of tasks, and drains when nobody else does.

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

#include <weft/base/error.hpp>

#include "base/cause.hpp"
#include "engine/descriptor.hpp"
#include "engine/engine_thread.hpp"
#include "port/futex.hpp"
#include "process/memory/large_block.hpp"
#include "process/pool/process_pool.hpp"
#include "process/start/processes.hpp"

namespace weft::detail {

using process::detail::LargeBlock;

namespace {

using std::int64_t;

constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kNap = 50'000;
constexpr int64_t kRoundOfInspection = 200 * kMillisecond;
constexpr int64_t kNapBesideOthers = 2 * kNap;
constexpr std::size_t kMany = 8;
constexpr int64_t kSettled = 1'000 * kMillisecond;  // a worker that lived so long did not die of how it was started
constexpr unsigned kMostDeathsInARow = 8;
constexpr unsigned kMostKillsInARow = 64;  // about ten seconds
constexpr unsigned kManyDeadlyTasks = 16;
constexpr unsigned kMostDoublings = 5;
constexpr unsigned kMostFailedStarts = 5;
constexpr unsigned kMostScarceStarts = 64;  // about ten seconds

int64_t now() noexcept { return Deadline::now_nanoseconds(); }

// By an operator, a script, or a system that is short of memory: it says nothing of what the worker did.
bool was_ended_by_others(int exit_code) noexcept {
  return exit_code == -SIGKILL || exit_code == -SIGTERM || exit_code == -SIGHUP || exit_code == -SIGINT || exit_code == -SIGQUIT;
}

// That others may give back: memory, descriptors, processes.
bool is_for_want_of_something(const std::exception_ptr& failure) noexcept {
  try {
    std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (const OSError& error) {
    const int code = error.code().value();
    return code == EMFILE || code == ENFILE || code == EAGAIN || code == ENOMEM || code == ENOSPC;
  } catch (...) {
    return false;
  }
}

std::string initializer_failure(const PoolBoard& board) {
  return "the initializer of its workers threw: " + std::string{board.failure, ::strnlen(board.failure, sizeof board.failure)};
}

}  // namespace

void ProcessPool::open() {
  start_engine_thread("weft-dispatch", [self = shared_pool()] { self->dispatch(); });
}

void ProcessPool::dispatch() noexcept {
  for (;;) {
    next_look_.store(INT64_MAX, std::memory_order_seq_cst);  // first: a task that comes from now on may have to nudge us
    found_many_ = drain() >= kMany;
    if (std::exchange(somebody_died_, false)) bury_dead();
    if (terminated_.load(std::memory_order_acquire)) kill_all();
    if (has_ended()) break;
    const int64_t next_late = end_late();  // before others are started in their place
    const int64_t next_start = is_idle_at_the_end() ? INT64_MAX : start_missing();
    const int64_t next_limit = enforce_limits();
    const int64_t next_idle = retire_idle();  // last: it also says when to look at those just started
    sleep(std::min({next_start, next_limit, next_idle, next_late, trim_blocks()}));
  }
  initializer_ = {};  // with its descriptors, as futures may keep the pool for longer
  if (block_used_at_.load(std::memory_order_relaxed) != 0) LargeBlock::trim(std::chrono::nanoseconds{0});
  ended_.set();
}

// ---- sleeping -------------------------------------------------------------------------------------------------------

// While much goes on it looks again after a nap instead of being woken for each task; whoever looks himself meanwhile finds less to do. It
// naps, too, as long as a worker is passed over: whoever did so may never come by again.
void ProcessPool::sleep(int64_t until) noexcept {
  std::vector<pollfd> polled;
  polled.reserve(workers_.size() + 2);
  polled.push_back({bell_.get(), POLLIN, 0});
  for (const auto& worker : workers_) {
    polled.push_back({worker->process->sentinel(), POLLIN, 0});
    somebody_died_ = somebody_died_ || polled.back().fd < 0;
  }
  if (somebody_died_) return;
  bool stuck = false;
  bool much_goes_on = false;
  {
    const std::lock_guard guard{lock_};
    bool any_idle = false;
    bool any_behind = !line_.empty();
    for (const auto& worker : workers_) {
      any_idle = any_idle || (worker->ready && !worker->leaving && worker->in_flight == 0);
      any_behind = any_behind || worker->in_flight > 1;
    }
    stuck = any_idle && !line_.empty();
    much_goes_on = replies_ - std::exchange(replies_at_last_look_, replies_) >= kMany;
    passed_over_ = passed_over_ && any_idle && any_behind;
    napping_ = much_goes_on || passed_over_;
    if (napping_) until = std::min(until, now() + (found_many_ ? kNap : kNapBesideOthers));
  }
  next_look_.store(until, std::memory_order_seq_cst);
  if (stuck) until = std::min(until, now() + kMillisecond);  // descriptors that could not go: others must arrive first
  // A worker that has been stopped on its way to tell us keeps the others from it.
  if (unfinished_.load(std::memory_order_relaxed) != 0) until = std::min(until, now() + kRoundOfInspection);
  if (!much_goes_on) {
    ask_to_be_told(PoolDoor::kDispatcher);
    if (drain() != 0) return;
  }
  const bool busy = unfinished_.load(std::memory_order_relaxed) != 0;
  const std::vector<Outcome> outcomes(polled.size(), kFired);
  const std::size_t count = polled.size();
  polled.push_back({});
  Context& self = current_context();
  Entry entry;
  (void)arm(self, entry, Interruptible::No);
  fence_before_park();
  // For the search for standstills: while there is work, something outside of this process may happen.
  (void)own_thread_context().park_on({polled.data(), outcomes.data(), count}, {.kind = busy ? WaitKind::Read : WaitKind::Select},
                                     until == INT64_MAX ? Deadline::never() : Deadline::from_nanoseconds(until));
  if (polled[0].revents != 0) {
    std::uint64_t rung = 0;
    [[maybe_unused]] const auto bytes = ::read(bell_.get(), &rung, sizeof rung);
  }
  for (std::size_t i = 1; i < count; ++i) somebody_died_ = somebody_died_ || polled[i].revents != 0;
}

// When to look again.
int64_t ProcessPool::trim_blocks() noexcept {
  int64_t used_at = block_used_at_.load(std::memory_order_relaxed);
  if (used_at == 0) return INT64_MAX;
  const int64_t due = used_at + std::chrono::nanoseconds{kKeepBlocks}.count();
  if (now() < due) return due;
  // Whoever has used one since then is not forgotten, and whoever does from now on nudges us.
  if (!block_used_at_.compare_exchange_strong(used_at, 0, std::memory_order_relaxed)) return trim_blocks();
  LargeBlock::trim(kKeepBlocks);
  return INT64_MAX;
}

// ---- starting -------------------------------------------------------------------------------------------------------

// At the end of the program its workers are told to end: others in their place would have to be, too, and waited for. With work to do there
// must be some, as somebody may wait for it.
bool ProcessPool::is_idle_at_the_end() noexcept {
  if (!Processes::all().are_ending()) return false;
  const std::lock_guard guard{lock_};
  more_workers_asked_for_ = false;
  return unfinished_.load(std::memory_order_relaxed) == 0;
}

// When to try again; INT64_MAX: there are enough.
int64_t ProcessPool::start_missing() noexcept {
  for (;;) {
    const int64_t when = when_to_start();
    if (when == INT64_MAX) return INT64_MAX;
    if (now() < std::max(when, next_start_)) return std::max(when, next_start_);
    try {
      start_worker();
      failed_starts_ = 0;
    } catch (const InvalidStateError& misuse) {
      break_down(std::string{"no worker can be started: "} + misuse.what());
      return INT64_MAX;
    } catch (...) {
      const std::string why = cause_of(std::current_exception());
      const bool scarce = is_for_want_of_something(std::current_exception());
      next_start_ = now() + (20 * kMillisecond << std::min(failed_starts_, scarce ? 3 : 0U));
      // With others at work it is tried again and again; alone, and for long, it is the end.
      if (++failed_starts_ >= (scarce ? kMostScarceStarts : kMostFailedStarts) && workers() == 0) {
        break_down("no worker can be started: " + why);
        return INT64_MAX;
      }
    }
  }
}

void ProcessPool::start_worker() {
  SharedPages pages{"weft-pool-link", PoolLink::bytes()};
  ::new (pages.data()) PoolBoard;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) throw OSError{errno, "making the socket of a worker"};
  OwnedFd here{ends[0]};
  PoolSeat seat;
  seat.socket = OwnedFd{ends[1]};
  seat.memory = OwnedFd::duplicate(pages.fd());
  seat.door = OwnedFd::duplicate(door_pages_.fd());
  seat.bell = OwnedFd::duplicate(bell_.get());
  seat.fiber_bell = OwnedFd::duplicate(fiber_bell_->fd());
  seat.name = config_.name + '_' + std::to_string(workers_made_);
  seat.most_tasks = config_.tasks_per_worker;
  seat.starts_processes = config_.workers_start_processes;
  seat.initializer = initializer_.bytes();
  for (const OwnedFd& fd : initializer_.descriptors()) seat.initializer_descriptors.push_back(OwnedFd::duplicate(fd.get()));
  const std::string name = seat.name;
  pages.close_fd();
  auto link = std::make_shared<PoolLink>(std::move(pages), std::move(here));
  auto process = std::make_unique<WorkerProcess>(method_, std::move(seat));
  auto worker = std::make_unique<Worker>(name, std::move(link), std::move(process));
  ++workers_made_;
  Wakes wakes;
  const std::lock_guard guard{lock_};
  workers_.push_back(std::move(worker));
  fill(wakes);
}

// ---- limits ---------------------------------------------------------------------------------------------------------

// When the next task's time may be up. Nobody tells when a task begins: it cannot be up before a limit's time from now, and is then seen to
// have begun, and when.
int64_t ProcessPool::enforce_limits() noexcept {
  std::vector<Worker*> overdue;
  Wakes wakes;
  std::unique_lock guard{lock_};
  if (limited_ == 0) return INT64_MAX;
  int64_t next = now() + std::max(least_limit_, kMillisecond);
  for (const auto& worker : workers_) {
    if (worker->leaving) continue;
    const RemoteTask* task = nullptr;
    std::uint64_t index = worker->reaped;
    while (index != worker->filled && !(task = worker->tasks[index % kPoolSlots])) ++index;
    if (!task || task->allowed.limit.count() == 0) continue;
    const PoolSlot& slot = worker->link->slot(index);
    if (slot.state.load(std::memory_order_acquire) != SlotState::Taken) continue;
    // Not believed to be a time at all.
    const int64_t begun = std::clamp<int64_t>(slot.begun_at.load(std::memory_order_acquire), 0, now());
    if (begun == 0) {
      next = std::min(next, now() + kMillisecond);  // it is about to be written
    } else if (begun + task->allowed.limit.count() > now()) {
      next = std::min(next, begun + task->allowed.limit.count());
    } else {
      // None of its other tasks may begin, and be hit by what is meant for this one. This one may come to its end at this very moment: then
      // it counts as done, and the worker goes for nothing.
      worker->leaving = true;
      take_back_unbegun(*worker);
      worker->overdue = task;
      overdue.push_back(worker.get());
    }
  }
  fill(wakes);
  guard.unlock();
  for (Worker* worker : overdue) worker->process->kill();
  return next;
}

// Workers that are to end, or have said that they do: what they have not begun goes to others. What a task or the initializer has left
// behind may keep one, a thread or a handler of exit(), and so its successor from being started. When to look again.
int64_t ProcessPool::end_late() noexcept {
  int64_t next = INT64_MAX;
  std::vector<Worker*> late;
  std::string why_broken;
  {
    Wakes wakes;
    const std::lock_guard guard{lock_};
    for (const auto& worker : workers_) {
      if (!worker->leaving) continue;
      const PoolBoard& board = worker->link->board();
      const auto stage = board.stage.load(std::memory_order_acquire);
      if (worker->cannot_be_told && stage == PoolBoard::Stage::Ready) {
        late.push_back(worker.get());
        continue;
      }
      if (worker->leaving_since == 0) {
        worker->leaving_since = now();
        if (stage == PoolBoard::Stage::InitializerFailed) why_broken = initializer_failure(board);
        if (stage == PoolBoard::Stage::Retired || stage == PoolBoard::Stage::InitializerFailed) take_back_unbegun(*worker);
      }
      if (worker->leaving_since + kPatienceAtEnd > now()) {
        next = std::min(next, worker->leaving_since + kPatienceAtEnd);
      } else {
        late.push_back(worker.get());
      }
    }
    fill(wakes);
  }
  for (Worker* worker : late) worker->process->kill();
  if (!why_broken.empty()) break_down(why_broken);
  return next;
}

void ProcessPool::kill_all() noexcept {
  {
    const std::lock_guard guard{lock_};
    for (const auto& worker : workers_) worker->leaving = true;
  }
  for (const auto& worker : workers_) worker->process->kill();
}

// ---- dying ----------------------------------------------------------------------------------------------------------

void ProcessPool::bury_dead() noexcept {
  for (std::size_t i = 0; i < workers_.size();) {  // only this thread changes the list
    const std::optional<int> exit_code = workers_[i]->process->exit_code();
    if (!exit_code) {
      ++i;
    } else {
      bury(i, *exit_code);
    }
  }
}

// Nobody writes to its link any more. What it has done counts; what it had begun fails, or is begun again; the rest goes to others.
void ProcessPool::bury(std::size_t index_of_worker, int exit_code) noexcept {
  std::unique_ptr<Worker> worker;
  Ended ended;
  TaskLine victims;  // one, unless it has written where it must not
  bool had_begun = false;
  bool terminated = false;
  {
    Wakes wakes;
    // One step: whoever calls off what has not begun finds all of it, with a worker or in line, and nothing is put there afterwards.
    const std::lock_guard guard{lock_};
    worker = std::move(workers_[index_of_worker]);
    workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(index_of_worker));
    if (last_used_ == worker.get()) last_used_ = nullptr;
    terminated = terminated_.load(std::memory_order_relaxed);
    reap(*worker, ended);
    for (std::uint64_t index = worker->filled; index != worker->reaped;) {
      RemoteTask* task = std::exchange(worker->tasks[--index % kPoolSlots], nullptr);
      if (!task) continue;
      task->place = RemoteTask::Place::Nowhere;
      task->worker = nullptr;
      if (worker->link->slot(index).state.load(std::memory_order_acquire) == SlotState::Taken) {
        had_begun = true;
        const bool again = !terminated && worker->overdue != task && task->allowed.retries != 0;
        if (!again) {
          victims.push_back(*task);
          continue;
        }
        --task->allowed.retries;
      }
      task->place = RemoteTask::Place::InLine;
      line_.put_back(*task);
    }
    // A task that was begun, here or by another, shows that workers can be started; one that was done, that not all of them are deadly.
    const bool any_done = std::exchange(replies_at_last_death_, replies_) != replies_;
    if (any_done || had_begun) deaths_in_a_row_ = 0;
    if (any_done) deadly_tasks_in_a_row_ = 0;
    // It may have died on the way to tell a thread that sleeps: that one looks, and asks again.
    attention_.fetch_and(~PoolDoor::kSleeper, std::memory_order_acq_rel);
    port::futex_wake_shared(port::futex_word(attention_), 1);
    fill(wakes);
  }
  while (RemoteTask* victim = victims.pop_front()) {
    victim->failure = cause_of_end(*victim, *worker, exit_code, terminated);
    ended.tasks.push_back(*victim);
  }
  finish(ended);
  if (terminated) return;
  if (!had_begun) return count_death(*worker, exit_code);
  if (!worker->overdue) count_deadly_task(*worker, exit_code);
}

// Of a task that its worker had begun.
std::exception_ptr ProcessPool::cause_of_end(const RemoteTask& task, const Worker& worker, int exit_code, bool terminated) const {
  if (terminated) return std::make_exception_ptr(CancelledError{what("the task was ended with its worker, by terminate() of")});
  if (worker.overdue == &task) {
    return std::make_exception_ptr(
        TimeoutError{task.describe() + ": it ran for longer than its limit of " +
                     std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(task.allowed.limit).count()) +
                     " ms, and was ended with its worker " + worker.name});
  }
  return std::make_exception_ptr(
      WorkerDied{task.describe(), worker.name, worker.pid, exit_code < 0 ? -exit_code : 0, exit_code < 0 ? 0 : exit_code});
}

// Of a worker that died without a task.
void ProcessPool::count_death(const Worker& worker, int exit_code) noexcept {
  const PoolBoard& board = worker.link->board();
  const auto stage = board.stage.load(std::memory_order_acquire);
  if (stage == PoolBoard::Stage::InitializerFailed) return break_down(initializer_failure(board));
  if (stage == PoolBoard::Stage::Retired || (worker.leaving && !worker.cannot_be_told) || board.closing.load(std::memory_order_relaxed) != 0) return;
  if (now() - worker.started_at > kSettled) deaths_in_a_row_ = 0;
  // One that was there when the last one was counted tells nothing new: what ended both of them came from outside.
  if (deaths_in_a_row_ != 0 && worker.started_at < last_counted_) return;
  last_counted_ = now();
  if (++deaths_in_a_row_ >= (was_ended_by_others(exit_code) ? kMostKillsInARow : kMostDeathsInARow)) {
    return break_down(std::to_string(deaths_in_a_row_) + " workers in a row died without a task; the last, " + worker.name + " (pid " +
                      std::to_string(worker.pid) + "), " + describe_exit(exit_code) +
                      (stage == PoolBoard::Stage::Starting       ? " as it was started"
                       : stage == PoolBoard::Stage::Initializing ? " in its initializer"
                                                                 : ""));
  }
  // The first is replaced at once, the others later and later.
  if (deaths_in_a_row_ > 1) next_start_ = last_counted_ + (5 * kMillisecond << std::min(deaths_in_a_row_ - 2, kMostDoublings));
}

// Each has failed its own task. But a program whose tasks do nothing but kill their workers is not to spend all its time on new ones.
void ProcessPool::count_deadly_task(const Worker& worker, int exit_code) noexcept {
  if (++deadly_tasks_in_a_row_ < kManyDeadlyTasks) return;
  if (deadly_tasks_in_a_row_ == kManyDeadlyTasks) {
    std::fprintf(stderr,
                 "weft: %s \"%s\": %u workers in a row died in the middle of a task, and no task was done meanwhile; the last, %s (pid %d), "
                 "%s. Others are started more slowly until a task is done.\n",
                 config_.kind, config_.name.c_str(), deadly_tasks_in_a_row_, worker.name.c_str(), worker.pid, describe_exit(exit_code).c_str());
  }
  next_start_ = now() + (5 * kMillisecond << std::min(deadly_tasks_in_a_row_ - kManyDeadlyTasks, kMostDoublings));
}

void ProcessPool::break_down(const std::string& why) noexcept {
  TaskLine taken;
  {
    const std::lock_guard guard{lock_};
    if (why_broken_.empty()) why_broken_ = why;
    closed_.store(true, std::memory_order_seq_cst);
    taken = take_unbegun();
  }
  Ended ended;
  while (RemoteTask* task = taken.pop_front()) {
    task->failure = std::make_exception_ptr(BrokenExecutor{std::string{config_.kind} + " \"" + config_.name + "\": " + why});
    ended.tasks.push_back(*task);
  }
  finish(ended);
}

// ---- ending ---------------------------------------------------------------------------------------------------------

// When all is done the workers are told that no more will come; end_late() sees to those who do not heed it.
bool ProcessPool::has_ended() noexcept {
  if (!is_closed() || unfinished_.load(std::memory_order_seq_cst) != 0) return false;
  Wakes wakes;
  const std::lock_guard guard{lock_};
  for (const auto& worker : workers_) send_home(*worker, wakes);
  return workers_.empty();
}

}  // namespace weft::detail
