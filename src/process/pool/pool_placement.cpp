// Which worker of a pool of processes a task goes to, and how what is done comes back: all of it with the pool's lock.

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "port/futex.hpp"
#include "process/memory/large_block.hpp"
#include "process/pool/process_pool.hpp"

namespace weft::detail {

namespace {

// What giving a task to another worker than the last one costs, in nanoseconds: caches that are cold; a wake-up, and the processor that is
// taken from those who are awake; a process that is still being started.
constexpr std::int64_t kColdCaches = 2'000;
constexpr std::int64_t kWakeUp = 20'000;
constexpr std::int64_t kStart = 5'000'000;
// A task that takes so long: to be woken for the next one costs little beside it.
constexpr std::int64_t kLongTask = 1'000'000;

}  // namespace

// How long it has to do, if what it has is like what there was of late.
std::int64_t ProcessPool::backlog(const Worker& worker) const noexcept {
  // What is slow is worth a wake-up, whatever was thought of it.
  return static_cast<std::int64_t>(worker.in_flight) * (worker.slow ? std::max(task_nanoseconds_, 2 * kWakeUp) : task_nanoseconds_);
}

std::int64_t ProcessPool::cost_of_another(const Worker& worker) const noexcept {
  if (&worker == last_used_ && worker.in_flight != 0) return 0;
  if (!worker.ready) return kStart;
  if (worker.link->board().asleep.load(std::memory_order_relaxed) != 0) return kWakeUp;
  return &worker == last_used_ ? 0 : kColdCaches;
}

// The one who comes to it first. None: that one has no room just now, and will have before another would have woken up.
ProcessPool::Worker* ProcessPool::choose(const RemoteTask& task) noexcept {
  const bool needs_all_of_it = task.parcel.in_block() || !task.parcel.descriptors().empty();
  Worker* best = nullptr;
  std::int64_t least = INT64_MAX;
  bool any_idle = false;
  for (const auto& worker : workers_) {
    if (worker->leaving || (worker->in_flight != 0 && (needs_all_of_it || worker->at_long_task))) continue;
    any_idle = any_idle || (worker->ready && worker->in_flight == 0);
    if (worker->in_flight == 0 && !worker->has_room()) continue;  // its replies are being read, or it drops what was taken back
    const std::int64_t cost = backlog(*worker) + cost_of_another(*worker);
    if (cost >= least) continue;
    least = cost;
    best = worker.get();
  }
  passed_over_ = passed_over_ || (any_idle && (!best || best->in_flight != 0));
  return best && best->has_room() ? best : nullptr;
}

// A worker has been passed over, and the dispatcher, which is about to be nudged, does not know yet.
bool ProcessPool::may_be_forgotten() noexcept { return passed_over_ && !std::exchange(napping_, true); }

// By what has been done since the last look. Eight tasks settle it; a single one counts for an eighth.
void ProcessPool::estimate(Worker& worker, unsigned replied) noexcept {
  if (config_.most_workers == 1 || (replied == 0 && worker.in_flight < 2 && line_.empty())) return;  // nobody asks
  const std::int64_t now = Deadline::now_nanoseconds();
  if (replied == 0) {
    worker.slow = worker.in_flight != 0 && now - worker.busy_since >= kWakeUp;
    worker.at_long_task = worker.ready && worker.in_flight != 0 && now - worker.busy_since >= kLongTask;
    return;
  }
  const std::int64_t each = (now - worker.busy_since) / replied;
  task_nanoseconds_ += (each - task_nanoseconds_) * std::min(replied, 8U) / 8;
  worker.busy_since = now;
  worker.slow = worker.at_long_task = false;
}

void ProcessPool::fill(Wakes& wakes) noexcept {
  bool any = false;
  while (RemoteTask* task = line_.front()) {
    Worker* worker = choose(*task);
    if (!worker) break;
    if (give(*worker, *task)) {
      any = true;
    } else if (!worker->cannot_be_told) {
      break;
    }
  }
  if (any) wake_those_given(wakes);
}

void ProcessPool::wake_those_given(Wakes& wakes) noexcept {
  // Either a worker that is about to sleep sees its slot filled, or we see that it sleeps.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (const auto& worker : workers_) {
    if (std::exchange(worker->to_be_woken, false)) wake(*worker, wakes);
  }
}

void ProcessPool::wake(Worker& worker, Wakes& wakes) noexcept {
  auto& asleep = worker.link->board().asleep;
  if (asleep.load(std::memory_order_relaxed) == 0 || asleep.exchange(0, std::memory_order_acq_rel) == 0) return;
  wakes.add(worker.link);
  woke_a_worker_.store(true, std::memory_order_relaxed);
}

ProcessPool::Wakes::~Wakes() {
  links_.for_each([](const PoolLink& link) { port::futex_wake_shared(port::futex_word(link.board().asleep), 1); });
}

// The task is the first in line. False: its descriptors cannot go now, which the kernel bounds for each user, or never to this worker.
bool ProcessPool::give(Worker& worker, RemoteTask& task) noexcept {
  PoolSlot& slot = worker.next_slot();
  const std::uint64_t number = ++tasks_numbered_;
  int descriptors[kMostDescriptors];
  std::size_t count = 0;
  const bool in_block = task.parcel.in_block();
  if (in_block) descriptors[count++] = task.parcel.block().lend();
  for (const OwnedFd& fd : task.parcel.descriptors()) descriptors[count++] = fd.get();
  if (const int error = count != 0 ? worker.link->send_descriptors(number, {descriptors, count}) : 0) {
    if (in_block) task.parcel.block().take_back();
    if (error == EPIPE || error == ECONNRESET || error == ENOTCONN) {
      worker.leaving = worker.cannot_be_told = true;
      nudge();  // it is to be replaced
    }
    return false;
  }
  line_.remove(task);

  const std::span<const std::byte> bytes = task.parcel.bytes();
  slot.descriptors = static_cast<std::uint32_t>(count);
  slot.timed = task.allowed.limit.count() != 0;
  slot.size = bytes.size();
  slot.number = number;
  slot.begun_at.store(0, std::memory_order_relaxed);
  slot.area = task.area = static_cast<std::uint8_t>(worker.link->take_area());
  if (in_block) {
    slot.bytes_at = SlotBytes::Block;
  } else if (bytes.size() > PoolSlot::kInline) {
    slot.bytes_at = SlotBytes::Area;
    std::memcpy(worker.link->area(task.area).data(), bytes.data(), bytes.size());
  } else {
    slot.bytes_at = SlotBytes::Inline;
    if (!bytes.empty()) std::memcpy(slot.bytes, bytes.data(), bytes.size());
  }
  task.place = RemoteTask::Place::AtWorker;
  task.worker = &worker;
  task.slot = static_cast<std::uint8_t>(worker.filled % kPoolSlots);
  worker.tasks[task.slot] = &task;
  ++worker.filled;
  const bool was_idle = worker.in_flight++ == 0;
  worker.to_be_woken = true;
  last_used_ = &worker;
  // Release: the worker that sees it queued sees all of it.
  slot.state.store(SlotState::Queued, std::memory_order_release);
  if (was_idle) worker.busy_since = Deadline::now_nanoseconds();
  return true;
}

// Takes back what the slot of this number holds. False: the worker has begun it.
bool ProcessPool::withdraw(Worker& worker, std::uint64_t index) noexcept {
  SlotState expected = SlotState::Queued;
  if (!worker.link->slot(index).state.compare_exchange_strong(expected, SlotState::Withdrawn, std::memory_order_acq_rel,
                                                              std::memory_order_relaxed)) {
    return false;
  }
  RemoteTask*& task = worker.tasks[index % kPoolSlots];
  if (task->parcel.in_block()) task->parcel.block().take_back();  // the worker drops its message unread
  worker.link->give_area_back(task->area);
  task->place = RemoteTask::Place::Nowhere;
  task->worker = nullptr;
  task = nullptr;
  --worker.in_flight;
  return true;
}

// Here, as the messages of a worker come in the order of its replies.
void ProcessPool::receive(Worker& worker, const PoolSlot& slot, RemoteTask& task) noexcept {
  try {
    if (slot.kind == SlotKind::Failure) task.done_by = worker.name + " (pid " + std::to_string(worker.pid) + ')';
    if (slot.descriptors != 0) task.received = worker.link->receive_descriptors(slot.number, slot.descriptors);
  } catch (...) {
    task.failure = std::current_exception();
  }
}

// What is done leaves; a worker does its tasks in their order.
void ProcessPool::reap(Worker& worker, Ended& ended) {
  unsigned replied = 0;
  for (; worker.reaped != worker.filled; ++worker.reaped) {
    PoolSlot& slot = worker.link->slot(worker.reaped);
    RemoteTask*& task = worker.tasks[worker.reaped % kPoolSlots];
    const SlotState state = slot.state.load(std::memory_order_acquire);
    if (!task) {
      if (state == SlotState::Withdrawn) break;  // the worker has not come by yet
      continue;
    }
    if (state != SlotState::Done) {
      // It is begun: it will not be given to another, and the worker's copies are all that is needed.
      if (state == SlotState::Taken && task->allowed.retries == 0 && !task->parcel.descriptors().empty()) {
        for (OwnedFd& fd : task->parcel.take_descriptors()) ended.descriptors.push_back(std::move(fd));
      }
      break;
    }
    if (replied++ == 0) ended.links.add(worker.link);
    task->reply = &slot;  // free when it has been read
    task->link = worker.link.get();
    task->place = RemoteTask::Place::Nowhere;
    receive(worker, slot, *task);
    ended.tasks.push_back(*std::exchange(task, nullptr));
    --worker.in_flight;
  }
  replies_ += replied;
  if (replied != 0 && woke_a_worker_.load(std::memory_order_relaxed)) woke_a_worker_.store(false, std::memory_order_relaxed);
  estimate(worker, replied);
  const auto stage = worker.link->board().stage.load(std::memory_order_acquire);
  if (!worker.ready && stage == PoolBoard::Stage::Ready) {
    worker.ready = true;
    worker.busy_since = Deadline::now_nanoseconds();  // with what it was given before
  }
  if (worker.leaving || (stage != PoolBoard::Stage::Retired && stage != PoolBoard::Stage::InitializerFailed)) return;
  worker.leaving = true;
  nudge();  // whoever was told of it may not be the dispatcher, which is to see to its end
}

// What a worker has not begun goes back to where it was in line.
void ProcessPool::take_back_unbegun(Worker& worker) noexcept {
  for (std::uint64_t index = worker.filled; index != worker.reaped;) {
    RemoteTask* task = worker.tasks[--index % kPoolSlots];
    if (!task || !withdraw(worker, index)) continue;
    task->place = RemoteTask::Place::InLine;
    line_.put_back(*task);
  }
}

// A wake-up is little beside a long task; and what stands behind it would be done after what came later.
void ProcessPool::take_back_from_the_slow() noexcept {
  for (const auto& worker : workers_) {
    if (worker->at_long_task && worker->in_flight > 1) take_back_unbegun(*worker);
  }
}

// A worker that has nothing to do gets half of what the busiest one has not begun, the last first; unless that is as good as done.
void ProcessPool::share(Wakes& wakes) noexcept {
  if (!line_.empty() || workers_.size() < 2) return;
  for (const auto& idle : workers_) {
    if (idle->in_flight != 0 || !idle->ready || !idle->has_room()) continue;
    Worker* busiest = nullptr;
    for (const auto& worker : workers_) {
      // One that is being started has begun nothing.
      if (worker->in_flight > (worker->ready ? 1U : 0U) && (!busiest || worker->in_flight > busiest->in_flight)) busiest = worker.get();
    }
    if (!busiest) return;
    if (busiest->ready && backlog(*busiest) <= cost_of_another(*idle)) continue;
    const unsigned most = busiest->ready ? busiest->in_flight / 2 : (busiest->in_flight + 1) / 2;
    unsigned taken = 0;
    for (std::uint64_t index = busiest->filled; index != busiest->reaped && taken < most;) {
      --index;
      RemoteTask* task = busiest->tasks[index % kPoolSlots];
      if (!task) continue;
      if (!withdraw(*busiest, index)) break;  // what is before it has begun, too
      task->place = RemoteTask::Place::InLine;
      line_.put_back(*task);
      ++taken;
    }
    if (taken == 0) return;
    while (!line_.empty() && idle->has_room() && give(*idle, *line_.front())) {
    }
    wake_those_given(wakes);
  }
}

// Takes it out of line, or from its worker. False: it has begun.
bool ProcessPool::detach(RemoteTask& task) noexcept {
  if (task.place == RemoteTask::Place::Nowhere) return false;
  if (task.place == RemoteTask::Place::AtWorker) return withdraw(*static_cast<Worker*>(task.worker), task.slot);
  line_.remove(task);
  task.place = RemoteTask::Place::Nowhere;
  return true;
}

TaskLine ProcessPool::take_unbegun() noexcept {
  TaskLine taken;
  for (const auto& worker : workers_) {
    for (std::uint64_t index = worker->reaped; index != worker->filled; ++index) {
      RemoteTask* task = worker->tasks[index % kPoolSlots];
      if (!task || !withdraw(*worker, index)) continue;
      task->taken_back = true;
      taken.push_back(*task);
    }
  }
  while (RemoteTask* task = line_.pop_front()) {
    task->place = RemoteTask::Place::Nowhere;
    task->taken_back = true;
    taken.push_back(*task);
  }
  return taken;
}

}  // namespace weft::detail
