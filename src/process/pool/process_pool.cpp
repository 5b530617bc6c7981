#include "process/pool/process_pool.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/sync/scope.hpp>

#include "engine/descriptor.hpp"
#include "engine/enlisted_wait.hpp"
#include "engine/helper_pool.hpp"
#include "engine/thread_context.hpp"
#include "engine/waits.hpp"
#include "port/futex.hpp"
#include "process/memory/large_block.hpp"
#include "process/sending/function_name.hpp"
#include "process/sending/remote_failure.hpp"
#include "process/start/program.hpp"

namespace weft::detail {

using process::detail::LargeBlock;

namespace {

std::string default_name(const char* kind) {
  static std::atomic<unsigned> made{0};
  return std::string{kind} + '-' + std::to_string(made.fetch_add(1, std::memory_order_relaxed));
}

ProcessPoolConfig completed(ProcessPoolConfig config) {
  if (config.name.empty()) config.name = default_name(config.kind);
  return config;
}

template <class T>
T read_once(const T& shared) noexcept {
  return *static_cast<const volatile T*>(&shared);
}

bool can_wait_for_two_words() noexcept {
  const std::uint32_t zero = 0;
  const port::FutexWord words[] = {{&zero, 1, false}, {&zero, 1, false}};
  const int result = port::futex_wait_any(words, 2, Deadline::already());
  return result != -ENOSYS && result != -EPERM;  // EPERM: as sandboxes answer what they do not know
}

OwnedFd make_bell(const std::string& what) {
  OwnedFd bell{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!bell) throw OSError{errno, what};
  return bell;
}

Descriptor* adopt_bell(OwnedFd bell) {
  Descriptor* const adopted = Descriptor::adopt(bell.get(), Descriptor::Nature::Message);
  (void)bell.release();
  return adopted;
}

}  // namespace

std::shared_ptr<ProcessPoolCore> make_process_pool(ProcessPoolConfig config) {
  auto pool = std::make_shared<ProcessPool>(std::move(config));
  pool->open();
  return pool;
}

void end_process_pool(ProcessPoolCore& pool, int exceptions_before) noexcept {
  const Shield shield;
  pool.shutdown(true, std::uncaught_exceptions() > exceptions_before);
}

void ProcessPool::DisposeDescriptor::operator()(Descriptor* descriptor) const noexcept { descriptor->dispose(); }

std::string RemoteTask::describe() const {
  if (function) return function_name(function);
  return function_type ? readable_type(function_type->name()) : std::string{"a task"};
}

ProcessPool::ProcessPool(ProcessPoolConfig config)
    : initializer_{std::move(config.initializer)},
      config_{completed(std::move(config))},
      method_{config_.method.value_or(process::get_start_method())},
      can_sleep_beside_{can_wait_for_two_words()},
      door_pages_{"weft-pool-door", sizeof(PoolDoor)},
      attention_{(::new (door_pages_.data()) PoolDoor)->attention},
      bell_{make_bell(what("making it"))},
      fiber_bell_{adopt_bell(make_bell(what("making it")))} {
  if (method_ != StartMethod::Fork) require_main_line(process::to_string(method_).data());
  if (config_.most_pending != 0) room_.emplace(static_cast<std::ptrdiff_t>(config_.most_pending + config_.most_workers));
}

std::string ProcessPool::what(const char* operation) const {
  return std::string{operation} + ' ' + config_.kind + " \"" + config_.name + '"';
}

// ---- the ends of tasks: without the lock ----------------------------------------------------------------------------

// How many have ended.
std::size_t ProcessPool::drain() noexcept {
  Ended ended;
  bool nudge_dispatcher = false;
  {
    Wakes wakes;
    const std::lock_guard guard{lock_};
    for (const auto& worker : workers_) reap(*worker, ended);
    take_back_from_the_slow();
    fill(wakes);
    share(wakes);
    nudge_dispatcher = may_be_forgotten();
  }
  if (nudge_dispatcher) nudge();
  if (ended.tasks.empty()) return 0;
  const std::size_t count = finish(ended);
  Wakes wakes;
  const std::lock_guard guard{lock_};
  fill(wakes);  // the slots whose replies have been read are free now
  return count;
}

std::size_t ProcessPool::finish(Ended& ended) noexcept {
  std::size_t count = 0;
  while (RemoteTask* task = ended.tasks.pop_front()) {
    finish(*task);
    ++count;
  }
  return count;
}

void ProcessPool::finish(RemoteTask& task) noexcept {
  if (!task.future().begin(nullptr)) {  // cancelled
    give_slot_back(task);
    drop_request(task);
    return leave(task);
  }
  if (task.reply && !task.failure) {
    try {
      const Reply reply = reply_of(task);
      if (reply.in_block || (reply.kind == SlotKind::Value && !task.is_plain())) return read_aside(task, reply);
      read(task, reply);
    } catch (...) {
      task.failure = std::current_exception();
    }
  }
  conclude(task);
}

void ProcessPool::conclude(RemoteTask& task) noexcept {
  give_slot_back(task);
  drop_request(task);  // before anybody learns of the end: his next task may take the block
  if (task.failure) task.future().fail(std::move(task.failure));
  publish(task);
}

// Release: whoever fills it again comes behind the reading.
void ProcessPool::give_slot_back(RemoteTask& task) noexcept {
  if (!task.reply) return;
  task.link->give_area_back(task.area);
  std::exchange(task.reply, nullptr)->state.store(SlotState::Free, std::memory_order_release);
}

// Whoever has a handle may keep it for long: of what was sent nothing is kept open for that. A pipe's reader waits for its end.
void ProcessPool::drop_request(RemoteTask& task) noexcept {
  if (task.parcel.in_block()) {
    task.parcel.drop_block();
    note_use_of_block();
  }
  (void)task.parcel.take_descriptors();
}

// Not believed: a task may have written anything anywhere in its process. Read once: it may do so still.
ProcessPool::Reply ProcessPool::reply_of(const RemoteTask& task) {
  const PoolSlot& slot = *task.reply;
  const SlotBytes at = read_once(slot.bytes_at);
  const std::uint64_t size = read_once(slot.size);
  const SlotKind kind = read_once(slot.kind);
  if (at == SlotBytes::Inline && size <= PoolSlot::kInline) return {kind, false, size, {slot.bytes, size}};
  if (at == SlotBytes::Area && size <= kAreaBytes) return {kind, false, size, task.link->area(task.area).first(size)};
  if (at == SlotBytes::Block && !task.received.empty()) return {kind, true, size, {}};
  throw ProtocolError{task.describe() + ": its worker's reply makes no sense; something in it writes where it must not"};
}

void ProcessPool::read(RemoteTask& task, const Reply& reply) {
  std::vector<OwnedFd> descriptors = std::move(task.received);
  const auto receive = [&](process::Incoming in) {
    if (reply.kind == SlotKind::Value) return task.accept(in);
    task.failure = receive_failure(in, [&] { return task.describe() + " in " + task.done_by; });
  };
  if (!reply.in_block) return receive(process::Incoming{reply.bytes, std::move(descriptors)});
  const LargeBlock block = LargeBlock::receive(std::move(descriptors.front()), reply.size);
  descriptors.erase(descriptors.begin());
  receive(process::Incoming::from_block(block, std::move(descriptors)));
  note_use_of_block();
}

// By a helper, as it runs code of the user's, which may wait for anybody, or takes long. So nobody waits for that but those who want this
// result, no wait of theirs is interrupted within, and it may take what one of them holds.
void ProcessPool::read_aside(RemoteTask& task, const Reply& reply) {
  task.kept_reply.assign(reply.bytes.begin(), reply.bytes.end());
  give_slot_back(task);
  const Reply kept{reply.kind, reply.in_block, reply.size, task.kept_reply};
  try {
    result_helpers().submit([self = shared_pool(), &task, kept] { self->read_and_conclude(task, kept); });
  } catch (...) {
    read_and_conclude(task, kept);  // there is no thread to be had
  }
}

void ProcessPool::read_and_conclude(RemoteTask& task, const Reply& reply) noexcept {
  try {
    read(task, reply);
  } catch (...) {
    task.failure = std::current_exception();
  }
  task.kept_reply = {};
  conclude(task);
}

void ProcessPool::publish(RemoteTask& task) noexcept {
  using Calls = DoneHook::Calls;
  if (task.tells()) return publish_in_turn(task);
  switch (task.future().publish_if(Calls::Nothing)) {
    case Calls::Nothing: return leave(task);
    case Calls::Gatherers: return publish_aside(task);
    case Calls::Users: return publish_in_turn(task);
  }
}

// What gathers results takes its time, and its future may be waited for by what is being called at this moment.
void ProcessPool::publish_aside(RemoteTask& task) noexcept {
  constexpr unsigned kMostGathering = 32;  // a future that is put together may have callbacks of its own, which wait
  {
    const std::lock_guard guard{lock_};
    to_gather_.push_back(task);
    if (gathering_ == kMostGathering) return;
    ++gathering_;
  }
  try {
    result_helpers().submit([self = shared_pool()] { self->gather_all(); });
  } catch (...) {
    gather_all();  // there is no thread to be had
  }
}

void ProcessPool::gather_all() noexcept {
  for (;;) {
    RemoteTask* task = nullptr;
    {
      const std::lock_guard guard{lock_};
      task = to_gather_.pop_front();
      if (!task) {
        --gathering_;
        return;
      }
    }
    if (task->future().publish_if(DoneHook::Calls::Gatherers) == DoneHook::Calls::Users) {
      publish_in_turn(*task);
    } else {
      leave(*task);
    }
  }
}

void ProcessPool::publish_in_turn(RemoteTask& task) noexcept {
  bool begin = false;
  {
    const std::lock_guard guard{lock_};
    to_call_back_.push_back(task);
    begin = !std::exchange(calling_back_, true);
  }
  if (begin) go_on_calling_back();
}

// Of a task that is done: by publish() nobody would be told any more.
void ProcessPool::call_back(FutureState& future, DoneHook& hook) noexcept {
  if (is_left_behind()) return hook.on_done(future);
  const auto self = shared_from_this();  // what is called may drop the last handle
  {
    const std::lock_guard guard{lock_};
    if (std::exchange(calling_back_, true)) {
      future.retain();
      hook.done = &future;
      unfinished_.fetch_add(1, std::memory_order_seq_cst);  // the pool does not end before it
      return late_hooks_.push_back(hook);
    }
  }
  {
    const CallingBack calling{*this};
    hook.on_done(future);
  }
  go_on_calling_back();
}

// By whoever has set calling_back_.
void ProcessPool::go_on_calling_back() noexcept {
  {
    const std::lock_guard guard{lock_};
    if (to_call_back_.empty() && late_hooks_.empty()) {
      calling_back_ = false;
      return;
    }
  }
  try {
    result_helpers().submit([self = shared_pool()] { self->call_back_all(); });
  } catch (...) {
    call_back_all();  // there is no thread to be had
  }
}

ProcessPool::CallingBack::CallingBack(ProcessPool& pool) noexcept : pool_{pool} {
  const std::lock_guard guard{pool_.lock_};
  next = std::exchange(pool_.callers_, this);
}

ProcessPool::CallingBack::~CallingBack() {
  const std::lock_guard guard{pool_.lock_};
  CallingBack** link = &pool_.callers_;
  while (*link != this) link = &(*link)->next;
  *link = next;
}

void ProcessPool::call_back_all() noexcept {
  const CallingBack calling{*this};
  for (;;) {
    RemoteTask* task = nullptr;
    DoneHook* late = nullptr;
    {
      const std::lock_guard guard{lock_};
      late = late_hooks_.pop_front();
      if (!late) task = to_call_back_.pop_front();
      if (!late && !task) {
        calling_back_ = false;
        return;
      }
    }
    if (late) {
      FutureState& future = *late->done;
      late->on_done(future);
      future.release();
      one_is_through();
    } else {
      task->tell();
      task->future().publish();
      leave(*task);
    }
  }
}

// The pool's part in a task ends; the task may be gone. Not so the pool, which everybody who comes here holds by another way.
void ProcessPool::leave(RemoteTask& task) noexcept {
  if (room_) room_->release();
  if (task.allowed.limit.count() != 0) {
    const std::lock_guard guard{lock_};
    --limited_;
  }
  task.future().release();
  one_is_through();
}

void ProcessPool::one_is_through() noexcept {
  if (unfinished_.fetch_sub(1, std::memory_order_seq_cst) == 1 && closed_.load(std::memory_order_seq_cst)) nudge();
}

// ---- what tasks ask for ---------------------------------------------------------------------------------------------

void ProcessPool::refuse() const {
  const std::string operation = what("submit to") + ": ";
  if (is_left_behind())
    throw BrokenExecutor{operation + "its workers belong to the parent of this process; make a new one after fork()"};
  std::string broken;
  {
    const std::lock_guard guard{lock_};
    broken = why_broken_;
  }
  if (!broken.empty()) throw BrokenExecutor{operation + broken};
  throw ShutDown{operation + "it has been shut down"};
}

void ProcessPool::submit(RemoteTask& task) {
  Then then = Then::Nothing;
  try {
    if (is_left_behind() || is_closed()) refuse();
    if (room_) wait_for_room();
    make_ready(task);
    const std::optional<Then> accepted = accept(task);
    if (!accepted) {
      if (room_) room_->release();
      refuse();
    }
    then = *accepted;
  } catch (...) {
    task.future().release();
    throw;
  }
  switch (then) {
    case Then::Nothing: return;
    case Then::Finish: return finish(task);
    case Then::Nudge: return nudge();
    case Then::Look: break;
    case Then::LookInCharge:
      attention_.fetch_and(~PoolDoor::kSubmitter, std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_seq_cst);  // whoever did not tell us because of it has done what is seen now
      break;
  }
  drain();
}

// What cannot be sent is the failure of the task.
void ProcessPool::make_ready(RemoteTask& task) const noexcept {
  try {
    if (!task.failure && task.parcel.bytes().size() > kAreaBytes) (void)task.parcel.block();
    if (task.parcel.descriptors().size() >= kMostDescriptors)
      throw Error{what("submit to") + ": the arguments have " + std::to_string(task.parcel.descriptors().size()) +
                  " descriptors; a task takes fewer than " + std::to_string(kMostDescriptors)};
  } catch (...) {
    task.failure = std::current_exception();
  }
}

// What is to be done next; nothing: the pool has been closed. From here on the task may have come to its end.
std::optional<ProcessPool::Then> ProcessPool::accept(RemoteTask& task) {
  Wakes wakes;
  const std::lock_guard guard{lock_};
  if (closed_.load(std::memory_order_relaxed)) return std::nullopt;
  const bool alone = unfinished_.fetch_add(1, std::memory_order_seq_cst) == 0;
  // Whoever looks after a single task, its own, is no longer relied on. With his own order either he sees this one, or we see him.
  constexpr std::uint32_t kForOneTask = PoolDoor::kFiber | PoolDoor::kSubmitter;
  if (attention_.load(std::memory_order_seq_cst) & kForOneTask) attention_.fetch_and(~kForOneTask, std::memory_order_seq_cst);
  if (task.failure) {
    task.allowed.limit = {};
    return Then::Finish;
  }
  task.place = RemoteTask::Place::InLine;
  task.order = ++submits_;
  line_.push_back(task);
  fill(wakes);
  const auto* worker = static_cast<const Worker*>(task.worker);
  const bool at_once = worker && worker->in_flight == 1;
  bool nudges = !at_once && workers_.size() < config_.most_workers && !std::exchange(more_workers_asked_for_, true);
  nudges = may_be_forgotten() || nudges;
  nudges = note_limit(task) || nudges;
  if (nudges) return Then::Nudge;
  if (alone && wakes.any()) {
    // The worker may take this very processor now, and be done before we have it back: then the result is ours to take.
    attention_.fetch_or(PoolDoor::kSubmitter, std::memory_order_seq_cst);
    return Then::LookInCharge;
  }
  // Whoever submits many keeps the workers busy himself; and a fiber that listened may not have come to look at what it was told.
  const bool looks = submits_ % 16 == 0 || (!alone && listening_.load(std::memory_order_relaxed));
  return looks ? Then::Look : Then::Nothing;
}

// With the lock. Whether the dispatcher would look too late.
bool ProcessPool::note_limit(const RemoteTask& task) noexcept {
  const std::int64_t limit = task.allowed.limit.count();
  if (limit == 0) return false;
  ++limited_;
  least_limit_ = std::min(least_limit_, limit);
  return Deadline::now_nanoseconds() + limit < next_look_.load(std::memory_order_seq_cst);
}

void ProcessPool::wait_for_room() {
  if (room_->try_acquire()) return;
  auto way = room_->on_acquire([] {});
  Context& self = current_context();
  while (!way.try_now()) {
    if (!arm(self, way.entry, Interruptible::Yes)) throw_interruption();
    // Not enlisted, it can only have been decided by a kill.
    if (!way.enlist() && disarm(self)) continue;
    const Explained* explained = &room_aim_;
    const Outcome outcome =
        park(self, {.kind = WaitKind::Room, .object = explained, .holders = &nobody_here, .outside = true}, Deadline::never());
    if (outcome == kFired) return;  // the permit was handed over
    way.withdraw();
    throw_interruption();
  }
}

bool ProcessPool::take_back(RemoteTask& task) noexcept {
  if (is_left_behind()) return true;
  {
    const std::lock_guard guard{lock_};
    if (task.taken_back) return true;
    if (!detach(task)) return false;
    task.taken_back = true;
  }
  drop_request(task);
  leave(task);  // the caller has a handle
  return true;
}

bool ProcessPool::has_begun(const RemoteTask& task) noexcept {
  if (is_left_behind()) return false;
  const std::lock_guard guard{lock_};
  if (task.place == RemoteTask::Place::Nowhere) return !task.taken_back;
  if (task.place == RemoteTask::Place::InLine) return false;
  const SlotState state = static_cast<const Worker*>(task.worker)->link->slot(task.slot).state.load(std::memory_order_acquire);
  return state == SlotState::Taken || state == SlotState::Done;
}

// ---- for the search for deadlocks -----------------------------------------------------------------------------------

void ProcessPool::explain_as(const char* where, char* text, std::size_t room) const noexcept {
  std::snprintf(text, room, "%s at %s \"%s\" (%u worker%s)", where, config_.kind, config_.name.c_str(), config_.most_workers,
                config_.most_workers == 1 ? "" : "s");
}

void ProcessPool::explain(const RemoteTask& task, char* text, std::size_t room) noexcept {
  explain_as(has_begun(task) ? " begun" : " in line", text, room);
}

// With the lock. None if another one may come, or one is about to go.
std::vector<int> ProcessPool::all_workers() const {
  std::vector<int> pids;
  if (workers_.size() < config_.most_workers) return pids;
  for (const auto& worker : workers_) {
    if (worker->leaving) return {};
    pids.push_back(worker->pid);
  }
  return pids;
}

// As long as any task has a limit the pool itself may act: it ends the worker.
std::vector<int> ProcessPool::workers_needed(const RemoteTask& task) {
  if (is_left_behind()) return {};
  const std::lock_guard guard{lock_};
  if (limited_ != 0 || terminated_.load(std::memory_order_relaxed) || task.place == RemoteTask::Place::Nowhere) return {};
  if (task.place == RemoteTask::Place::InLine) return all_workers();
  const auto& worker = *static_cast<const Worker*>(task.worker);
  switch (worker.link->slot(task.slot).state.load(std::memory_order_acquire)) {
    case SlotState::Queued: return all_workers();  // it can be taken back, and given to any of them
    case SlotState::Taken: return worker.leaving ? std::vector<int>{} : std::vector{worker.pid};
    default: return {};  // it is done, and somebody is about to see it
  }
}

// With the lock. Whether a task has ended, or something is yet to be called for one: then this process is about to act.
bool ProcessPool::is_any_result_on_its_way() const noexcept {
  std::size_t unbegun_or_begun = 0;
  for (const RemoteTask* task = line_.front(); task; task = task->next) ++unbegun_or_begun;
  for (const auto& worker : workers_) {
    unbegun_or_begun += worker->in_flight;
    for (std::uint64_t index = worker->reaped; index != worker->filled; ++index) {
      if (worker->link->slot(index).state.load(std::memory_order_acquire) == SlotState::Done) return true;
    }
  }
  return unbegun_or_begun != unfinished_.load(std::memory_order_acquire);
}

// There is room when any task has ended.
std::vector<int> ProcessPool::workers_needed_for_room() {
  const std::lock_guard guard{lock_};
  if (limited_ != 0 || is_closed() || is_any_result_on_its_way()) return {};
  return all_workers();
}

// With the lock: of those that are not known to be done.
bool ProcessPool::has_begun_any(const Worker& worker) noexcept {
  for (std::uint64_t index = worker.reaped; index != worker.filled; ++index) {
    if (worker.link->slot(index).state.load(std::memory_order_acquire) == SlotState::Taken) return true;
  }
  return false;
}

// The end needs every task that has been begun. What has not been may go to another worker. One stands for them: that which has been begun for the longest; if others hang, it will be their
// turn.
std::vector<int> ProcessPool::workers_needed_for_end() {
  const std::lock_guard guard{lock_};
  if (limited_ != 0 || terminated_.load(std::memory_order_relaxed) || is_any_result_on_its_way()) return {};
  const Worker* longest = nullptr;
  for (const auto& worker : workers_) {
    if (worker->leaving || worker->in_flight == 0 || !has_begun_any(*worker)) continue;
    if (!longest || worker->busy_since < longest->busy_since) longest = worker.get();
  }
  return longest ? std::vector{longest->pid} : std::vector<int>{};
}

// ---- the end of the pool --------------------------------------------------------------------------------------------

// Of a large value. The memory is kept for the next one; the dispatcher gives it back when none has come for a while.
void ProcessPool::note_use_of_block() noexcept {
  if (block_used_at_.exchange(Deadline::now_nanoseconds(), std::memory_order_relaxed) == 0) nudge();
}

void ProcessPool::nudge() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(bell_.get(), &one, sizeof one);
}

// One step, so that the dispatcher does not see that it is to kill the workers, and put into line what they had not begun, before that is
// called off.
void ProcessPool::close(End end) noexcept {
  TaskLine taken;
  {
    const std::lock_guard guard{lock_};
    closed_.store(true, std::memory_order_seq_cst);
    if (end == End::AtOnce) terminated_.store(true, std::memory_order_seq_cst);
    if (end != End::Gentle) taken = take_unbegun();
  }
  nudge();
  if (taken.empty()) return;
  const CallingBack calling{*this};
  while (RemoteTask* task = taken.pop_front()) {
    drop_request(*task);
    (void)task->future().cancel();
    leave(*task);
  }
}

void ProcessPool::shutdown(bool wait, bool cancel) {
  if (is_left_behind()) return;
  close(cancel ? End::WithoutTheUnbegun : End::Gentle);
  if (wait) (void)wait_for_end(Deadline::never());
}

void ProcessPool::terminate(bool wait) {
  if (is_left_behind()) return;
  close(End::AtOnce);
  if (wait) (void)wait_for_end(Deadline::never());
}

bool ProcessPool::wait_for_end(Deadline deadline) {
  if (is_left_behind()) return true;
  const std::uint64_t self = current_context_id();
  {
    const std::lock_guard guard{lock_};
    for (const CallingBack* caller = callers_; caller; caller = caller->next) {
      if (caller->context == self) return true;
    }
  }
  if (ended_.is_set()) return true;
  auto way = ended_.on_set([] {});
  const Explained* explained = &end_aim_;
  const Wait record{.kind = WaitKind::Work, .object = explained, .holders = &nobody_here, .outside = true};
  const auto enlist = [&](Entry& entry) {
    share_wait(entry, way.entry, 0);
    return way.enlist();
  };
  return wait_enlisted(current_context(), record, deadline, enlist, [&](Entry&) { way.withdraw(); });
}

std::size_t ProcessPool::workers() const noexcept {
  if (is_left_behind()) return 0;
  const std::lock_guard guard{lock_};
  return workers_.size();
}

std::vector<int> ProcessPool::pids() const {
  std::vector<int> pids;
  if (is_left_behind()) return pids;
  pids.reserve(config_.most_workers);
  const std::lock_guard guard{lock_};
  for (const auto& worker : workers_) pids.push_back(worker->pid);
  return pids;
}

}  // namespace weft::detail
