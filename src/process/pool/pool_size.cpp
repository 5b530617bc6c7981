// How many workers a pool of processes has: when one more is started, and when one goes.
//
// A pool has a size, from its least to its most workers: so many there shall be while there is work for them. It grows when a task waits
// and no worker is idle, and shrinks when a worker has been idle for long. A death does not change it: the worker is replaced as soon as
// there is work, without a pause other than that of a crash loop.

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "process/pool/process_pool.hpp"

namespace weft::detail {

namespace {

using std::int64_t;

constexpr int64_t kMillisecond = 1'000'000;
// So long must tasks have waited, without an idle worker, before one more is started: about what starting one takes, so that a burst of
// small tasks is done meanwhile by those there are.
constexpr int64_t kPause = 2 * kMillisecond;
constexpr int64_t kPauseOfSpawn = 20 * kMillisecond;
// A worker that takes so long to start, or is so long in its initializer, keeps others from being started no longer.
constexpr int64_t kPatienceWithStart = 1'000 * kMillisecond;
constexpr int64_t kPatienceWithInitializer = 100 * kMillisecond;

int64_t now() noexcept { return Deadline::now_nanoseconds(); }

int64_t later(int64_t when, int64_t by) noexcept { return by > INT64_MAX - when ? INT64_MAX : when + by; }

int64_t patience_with(PoolBoard::Stage stage) noexcept {
  return stage == PoolBoard::Stage::Starting       ? kPatienceWithStart
         : stage == PoolBoard::Stage::Initializing ? kPatienceWithInitializer
                                                   : 0;
}

}  // namespace

std::size_t ProcessPool::least_workers() const noexcept { return is_closed() ? 0 : config_.least_workers; }

// With the lock.
ProcessPool::Staff ProcessPool::count_staff() const noexcept {
  Staff staff;
  std::size_t waiting = 0;
  std::size_t idle = 0;
  const int64_t at = now();
  for (const auto& worker : workers_) {
    if (worker->leaving) {
      // What it leaves behind goes to others, but for a task that ends with it.
      waiting += worker->in_flight - (worker->overdue && worker->in_flight != 0 ? 1 : 0);
      continue;
    }
    ++staff.staying;
    if (worker->in_flight == 0) {
      ++idle;
    } else {
      waiting += worker->in_flight - 1;
    }
    const int64_t patience = patience_with(worker->link->board().stage.load(std::memory_order_acquire));
    if (patience == 0) {
      ++staff.ready;
    } else if (at - worker->started_at < patience) {
      ++staff.coming;
    }
  }
  const std::size_t enough = idle + config_.most_workers;
  for (const RemoteTask* task = line_.front(); task && waiting < enough; task = task->next) ++waiting;
  staff.missing = waiting - std::min(waiting, idle);
  return staff;
}

// When the next worker is to be started; INT64_MAX: there are enough, and who submits a task that finds none idle says so. Until then nobody
// need say it again.
int64_t ProcessPool::when_to_start() noexcept {
  const std::lock_guard guard{lock_};
  const bool may_not = terminated_.load(std::memory_order_acquire) || workers_.size() >= config_.most_workers;
  if (may_not) growth_due_ = 0;
  const int64_t when = may_not ? INT64_MAX : when_to_start(count_staff(), more_workers_asked_for_);
  more_workers_asked_for_ = when != INT64_MAX;
  return when;
}

// With the lock. `asked`: a task was submitted that found no worker idle, or we are looking again.
int64_t ProcessPool::when_to_start(const Staff& staff, bool asked) noexcept {
  const int64_t at = now();
  const int64_t pause = method_ == StartMethod::Spawn ? kPauseOfSpawn : kPause;
  if (staff.staying < least_workers()) return at;
  if (staff.missing == 0) {
    // Whether tasks wait for long is seen at the end of the pause.
    if (growth_due_ == 0 && asked) {
      growth_due_ = at + pause;
    } else if (at >= growth_due_) {
      growth_due_ = 0;
    }
    return growth_due_ == 0 ? INT64_MAX : growth_due_;
  }
  size_ = std::max<std::size_t>({size_, config_.least_workers, 1});
  if (staff.staying < size_) return at;
  if (growth_due_ == 0) growth_due_ = at + pause;
  if (at < growth_due_) return growth_due_;
  growth_due_ = at + pause;
  // No more at a time than there are already: before the first is there nobody knows how fast it will be.
  const std::size_t most_coming = std::max<std::size_t>(staff.ready, 1);
  if (staff.coming >= most_coming) return growth_due_;
  size_ = staff.staying + std::min({staff.missing, most_coming - staff.coming, config_.most_workers - workers_.size()});
  return at;
}

// Sends those home that have had nothing to do for long. When to look again.
//
// A worker is idle if it has no task at two looks and was given none in between; who gives tasks need not know of it. One that is sent
// home has none, and gets none from then on, as both are decided under the lock: no task can be in its ring, or come there, when
// it ends. Should it be killed on its way out, nothing is lost either, and its death is not counted as one.
int64_t ProcessPool::retire_idle() noexcept {
  const int64_t patience = config_.idle_timeout.count();
  if (patience <= 0) return INT64_MAX;
  Wakes wakes;
  const std::lock_guard guard{lock_};
  auto staying = static_cast<std::size_t>(
      std::count_if(workers_.begin(), workers_.end(), [](const auto& worker) { return !worker->leaving; }));
  const int64_t at = now();
  const std::size_t least = least_workers();
  int64_t next = INT64_MAX;
  for (const auto& worker : workers_) {
    if (worker->leaving) continue;
    const bool idle = worker->ready && worker->in_flight == 0 && worker->filled == worker->filled_when_seen && line_.empty();
    if (!idle) {
      worker->filled_when_seen = worker->filled;
      worker->idle_since = at;
    }
    if (staying <= least) continue;
    const int64_t due = later(worker->idle_since, patience);
    if (due > at) {
      next = std::min(next, idle ? due : later(at, std::max(patience / 4, kMillisecond)));
      continue;
    }
    send_home(*worker, wakes);
    next = std::min(next, at + kPatienceAtEnd);
    --staying;
    size_ = std::max(staying, least);
  }
  return next;
}

// With the lock. It sleeps, and is woken, or sees it as it looks for its next task; see PoolBoard::asleep.
void ProcessPool::send_home(Worker& worker, Wakes& wakes) noexcept {
  if (!std::exchange(worker.leaving, true)) worker.leaving_since = now();
  worker.link->board().closing.store(1, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  wake(worker, wakes);
}

}  // namespace weft::detail
