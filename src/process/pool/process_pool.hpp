#pragma once

#include <poll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <weft/detail/process_pool.hpp>
#include <weft/detail/remote_task.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/semaphore.hpp>

#include "engine/spin_lock.hpp"
#include "process/pool/pool_link.hpp"
#include "process/pool/task_line.hpp"
#include "process/pool/worker_process.hpp"
#include "process/sync/spin_budget.hpp"

namespace weft::detail {

class Descriptor;

/// Processes that do tasks.
///
/// A task waits in line, or in a slot of a worker's ring, so that the worker finds its next task when it has done one. How many are given ahead need
/// not be guessed: what a worker has not begun is taken back when another has nothing to do, by the compare-and-swap that also decides
/// between a worker and cancel(). Only tasks with descriptors, large ones among them, are given to a worker that has nothing else, since a
/// descriptor that has been sent cannot be taken back.
///
/// Whoever comes by may drain(): take what is done out of the rings, fill them again, and make the futures true. Who waits for a result does
/// so itself, and is told by the workers (PoolDoor); when nobody does, the dispatcher, a thread of weft's own, is told. It alone starts and
/// buries workers and watches the limits of tasks. What users have given to be called, when a future is done, is called by one context
/// at a time: a helper thread, or who gives it for a future that is done already.
///
/// Locks: lock_ is for a few instructions, and system calls that do not wait; nothing of the user's runs, and no future is touched, under it.
class ProcessPool final : public ProcessPoolCore, public std::enable_shared_from_this<ProcessPool> {
 public:
  explicit ProcessPool(ProcessPoolConfig config);
  /// Starts the dispatcher, which holds a reference until the pool has ended.
  void open();

  void submit(RemoteTask& task) override;
  void shutdown(bool wait, bool cancel) override;
  void terminate(bool wait) override;
  [[nodiscard]] bool wait_for_end(Deadline deadline) override;
  [[nodiscard]] bool is_closed() const noexcept override { return closed_.load(std::memory_order_acquire); }
  [[nodiscard]] std::size_t workers() const noexcept override;
  [[nodiscard]] std::size_t most_workers() const noexcept override { return config_.most_workers; }
  [[nodiscard]] std::vector<int> pids() const override;
  [[nodiscard]] std::chrono::nanoseconds usual_limit() const noexcept override { return config_.limit; }
  [[nodiscard]] unsigned usual_retries() const noexcept override { return config_.retries; }

  [[nodiscard]] bool advance(FutureState& future, Deadline deadline) override;
  [[nodiscard]] bool take_back(RemoteTask& task) noexcept override;
  [[nodiscard]] bool has_begun(const RemoteTask& task) noexcept override;
  void call_back(FutureState& future, DoneHook& hook) noexcept override;
  void explain(const RemoteTask& task, char* text, std::size_t room) noexcept override;
  [[nodiscard]] std::vector<int> workers_needed(const RemoteTask& task) override;

  /// What a submission waits for when there is a bound, and join() or shutdown().
  class Aim final : public Explained {
   public:
    using Needed = std::vector<int> (ProcessPool::*)();
    Aim(ProcessPool& pool, Needed needed) noexcept : pool_{pool}, needed_{needed} {}
    void explain(char* text, std::size_t room) const noexcept override { pool_.explain_as("", text, room); }
    /// As workers_needed().
    [[nodiscard]] std::vector<int> workers_needed() const { return (pool_.*needed_)(); }

   private:
    ProcessPool& pool_;
    const Needed needed_;
  };

 private:
  static constexpr std::int64_t kPatienceAtEnd = 5'000'000'000;  // with a worker that is to end, and does not

  struct Worker {
    Worker(std::string worker_name, std::shared_ptr<PoolLink> its_link, std::unique_ptr<WorkerProcess> its_process)
        : name{std::move(worker_name)}, link{std::move(its_link)}, process{std::move(its_process)} {}

    [[nodiscard]] PoolSlot& next_slot() const noexcept { return link->slot(filled); }
    [[nodiscard]] bool has_room() const noexcept {
      return !leaving && filled - reaped < kPoolSlots && next_slot().state.load(std::memory_order_acquire) == SlotState::Free;
    }

    const std::string name;
    const std::shared_ptr<PoolLink> link;
    const std::unique_ptr<WorkerProcess> process;  // the dispatcher's
    const int pid = process->pid();
    const std::int64_t started_at = Deadline::now_nanoseconds();
    std::uint64_t filled = 0;               // slots given, and
    std::uint64_t reaped = 0;               // those that the worker has left behind: numbers that only grow
    unsigned in_flight = 0;                 // tasks there, done ones not counted
    std::int64_t busy_since = 0;            // of those: since when the first has been the first
    bool slow = false;                      // which takes longer than tasks do of late
    bool at_long_task = false;              // and gets nothing ahead: it would wait while others do what came later
    RemoteTask* tasks[kPoolSlots] = {};     // null: taken back, or none
    bool ready = false;
    bool leaving = false;                   // gets no more tasks
    bool cannot_be_told = false;            // has lost its socket: a task has closed it
    bool to_be_woken = false;
    std::int64_t leaving_since = 0;         // when the dispatcher saw that it is; 0: it is not
    const RemoteTask* overdue = nullptr;    // because of which the pool has killed it
    // Of pool_size.cpp.
    std::uint64_t filled_when_seen = 0;
    std::int64_t idle_since = started_at;
  };

  /// Usually one.
  class Links {
   public:
    [[nodiscard]] bool any() const noexcept { return first_ != nullptr; }
    void add(const std::shared_ptr<PoolLink>& link) { (first_ ? others_.emplace_back() : first_) = link; }
    template <class F>
    void for_each(F f) const {
      if (first_) f(*first_);
      for (const auto& link : others_) f(*link);
    }

   private:
    std::shared_ptr<PoolLink> first_;
    std::vector<std::shared_ptr<PoolLink>> others_;
  };
  /// Tasks that have ended, to be told of outside of the lock.
  struct Ended {
    TaskLine tasks;
    Links links;                                   // keep the replies there
    std::vector<OwnedFd> descriptors;              // that are closed outside, too
  };
  /// Workers that sleep and have been given something: woken when the lock has been released, as that is a system call.
  class Wakes {
   public:
    Wakes() = default;
    Wakes(const Wakes&) = delete;
    Wakes& operator=(const Wakes&) = delete;
    ~Wakes();
    void add(const std::shared_ptr<PoolLink>& link) { links_.add(link); }
    [[nodiscard]] bool any() const noexcept { return links_.any(); }

   private:
    Links links_;
  };
  /// A context that calls what users have given. It waits for no end of the pool meanwhile: it is a part of what it would wait for.
  class CallingBack {
   public:
    explicit CallingBack(ProcessPool& pool) noexcept;
    CallingBack(const CallingBack&) = delete;
    CallingBack& operator=(const CallingBack&) = delete;
    ~CallingBack();

    const std::uint64_t context = current_context_id();
    CallingBack* next = nullptr;

   private:
    ProcessPool& pool_;
  };
  /// How it stands with the workers.
  struct Staff {
    std::size_t staying = 0;  // not leaving; of those
    std::size_t ready = 0;
    std::size_t coming = 0;   // have just been started
    std::size_t missing = 0;  // tasks that wait, and for which no worker is idle or will be
  };
  class InCharge;
  struct DisposeDescriptor {
    void operator()(Descriptor* descriptor) const noexcept;
  };

  // ---- pool_placement.cpp: with lock_ ----
  void fill(Wakes& wakes) noexcept;
  [[nodiscard]] Worker* choose(const RemoteTask& task) noexcept;
  [[nodiscard]] std::int64_t backlog(const Worker& worker) const noexcept;
  [[nodiscard]] std::int64_t cost_of_another(const Worker& worker) const noexcept;
  void estimate(Worker& worker, unsigned replied) noexcept;
  [[nodiscard]] bool may_be_forgotten() noexcept;
  [[nodiscard]] bool give(Worker& worker, RemoteTask& task) noexcept;
  void wake_those_given(Wakes& wakes) noexcept;
  void wake(Worker& worker, Wakes& wakes) noexcept;
  static void receive(Worker& worker, const PoolSlot& slot, RemoteTask& task) noexcept;
  void reap(Worker& worker, Ended& ended);
  void share(Wakes& wakes) noexcept;
  void take_back_unbegun(Worker& worker) noexcept;
  void take_back_from_the_slow() noexcept;
  [[nodiscard]] static bool withdraw(Worker& worker, std::uint64_t index) noexcept;
  [[nodiscard]] bool detach(RemoteTask& task) noexcept;
  [[nodiscard]] TaskLine take_unbegun() noexcept;

  // ---- process_pool.cpp: without ----
  [[nodiscard]] std::vector<int> all_workers() const;  // but this one with it
  void wait_for_room();
  enum class Then : std::uint8_t { Nothing, Finish, Nudge, Look, LookInCharge };
  void make_ready(RemoteTask& task) const noexcept;
  [[nodiscard]] std::optional<Then> accept(RemoteTask& task);
  [[nodiscard]] bool note_limit(const RemoteTask& task) noexcept;
  [[nodiscard]] std::vector<int> workers_needed_for_room();
  [[nodiscard]] std::vector<int> workers_needed_for_end();
  [[nodiscard]] bool is_any_result_on_its_way() const noexcept;
  [[nodiscard]] static bool has_begun_any(const Worker& worker) noexcept;
  void explain_as(const char* where, char* text, std::size_t room) const noexcept;
  std::size_t drain() noexcept;
  std::size_t finish(Ended& ended) noexcept;
  void finish(RemoteTask& task) noexcept;
  /// What a worker says of what it has written.
  struct Reply {
    SlotKind kind;
    bool in_block;
    std::uint64_t size;
    std::span<const std::byte> bytes;  // unless it is in a block
  };
  [[nodiscard]] static Reply reply_of(const RemoteTask& task);
  void read(RemoteTask& task, const Reply& reply);
  void read_aside(RemoteTask& task, const Reply& reply);
  void read_and_conclude(RemoteTask& task, const Reply& reply) noexcept;
  void conclude(RemoteTask& task) noexcept;
  static void give_slot_back(RemoteTask& task) noexcept;
  void drop_request(RemoteTask& task) noexcept;
  void publish(RemoteTask& task) noexcept;
  void publish_aside(RemoteTask& task) noexcept;
  void gather_all() noexcept;
  void publish_in_turn(RemoteTask& task) noexcept;
  void go_on_calling_back() noexcept;
  void call_back_all() noexcept;
  void leave(RemoteTask& task) noexcept;
  void one_is_through() noexcept;
  enum class End : std::uint8_t { Gentle, WithoutTheUnbegun, AtOnce };
  void close(End end) noexcept;
  [[noreturn]] void refuse() const;
  void note_use_of_block() noexcept;
  void nudge() noexcept;
  [[nodiscard]] bool is_left_behind() const noexcept { return process_ != this_process(); }
  [[nodiscard]] std::string what(const char* operation) const;
  [[nodiscard]] std::shared_ptr<ProcessPool> shared_pool() { return std::static_pointer_cast<ProcessPool>(shared_from_this()); }

  // ---- pool_leader.cpp: whoever waits for a result ----
  void ask_to_be_told(std::uint32_t how, std::uint32_t instead_of = 0) noexcept;
  [[nodiscard]] bool begin_to_look() noexcept;
  [[nodiscard]] bool look_on(FutureState& future, const Context& self, Deadline deadline) noexcept;
  [[nodiscard]] bool look_briefly(FutureState& future) noexcept;
  [[nodiscard]] bool lead_on_thread(FutureState& future, const Wait& record, Deadline deadline);
  [[nodiscard]] bool listen_on_fiber(FutureState& future, const Wait& record, Deadline deadline);

  // ---- pool_size.cpp: the dispatcher's own ----
  [[nodiscard]] std::int64_t when_to_start() noexcept;
  [[nodiscard]] std::int64_t when_to_start(const Staff& staff, bool asked) noexcept;
  [[nodiscard]] Staff count_staff() const noexcept;
  [[nodiscard]] std::size_t least_workers() const noexcept;
  [[nodiscard]] std::int64_t retire_idle() noexcept;
  void send_home(Worker& worker, Wakes& wakes) noexcept;

  // ---- pool_dispatcher.cpp: the dispatcher's own ----
  void dispatch() noexcept;
  [[nodiscard]] bool is_idle_at_the_end() noexcept;
  [[nodiscard]] std::int64_t start_missing() noexcept;
  void start_worker();
  [[nodiscard]] std::int64_t enforce_limits() noexcept;
  [[nodiscard]] std::int64_t end_late() noexcept;
  void kill_all() noexcept;
  void bury_dead() noexcept;
  void bury(std::size_t index_of_worker, int exit_code) noexcept;
  [[nodiscard]] std::exception_ptr cause_of_end(const RemoteTask& task, const Worker& worker, int exit_code, bool terminated) const;
  void count_death(const Worker& worker, int exit_code) noexcept;
  void count_deadly_task(const Worker& worker, int exit_code) noexcept;
  void break_down(const std::string& why) noexcept;
  [[nodiscard]] std::int64_t trim_blocks() noexcept;
  [[nodiscard]] bool has_ended() noexcept;
  void sleep(std::int64_t until) noexcept;

  SentCall initializer_;  // the dispatcher's
  const ProcessPoolConfig config_;
  const StartMethod method_;
  const std::uint32_t process_ = this_process();
  const bool can_sleep_beside_;  // a thread, on two words at once
  SharedPages door_pages_;
  std::atomic<std::uint32_t>& attention_;
  OwnedFd bell_;  // the dispatcher's
  std::unique_ptr<Descriptor, DisposeDescriptor> fiber_bell_;  // of the fiber that listens; never read, as each write is an event
  std::optional<Semaphore> room_;
  const Aim room_aim_{*this, &ProcessPool::workers_needed_for_room};
  const Aim end_aim_{*this, &ProcessPool::workers_needed_for_end};

  mutable SpinLock lock_;
  std::vector<std::unique_ptr<Worker>> workers_;  // this and below: guarded by lock_; changed by the dispatcher only
  TaskLine line_;
  Worker* last_used_ = nullptr;
  std::uint64_t tasks_numbered_ = 0;
  std::uint64_t submits_ = 0;
  std::uint64_t replies_ = 0;
  std::int64_t task_nanoseconds_ = 1'000'000;  // that a task takes of late; long, until it is known
  bool passed_over_ = false;  // a worker that has nothing to do, as another will soon have done what there is; the dispatcher
  bool napping_ = false;      // makes sure of that: it looks again soon
  std::size_t limited_ = 0;  // unfinished tasks with a limit, and
  std::int64_t least_limit_ = INT64_MAX;  // the least there has been
  bool more_workers_asked_for_ = false;
  std::string why_broken_;
  TaskLine to_gather_;
  unsigned gathering_ = 0;
  TaskLine to_call_back_;
  HookLine late_hooks_;  // of tasks that are done
  bool calling_back_ = false;
  CallingBack* callers_ = nullptr;

  std::atomic<bool> closed_{false};       // written under lock_
  std::atomic<bool> terminated_{false};   // the same
  std::atomic<std::size_t> unfinished_{0};  // tasks submitted, and not yet told of; and late hooks
  std::atomic<bool> leading_{false};
  std::atomic<bool> listening_{false};
  std::atomic<std::int64_t> next_look_{0};  // until when the dispatcher sleeps
  std::atomic<bool> woke_a_worker_{false};
  std::atomic<std::int64_t> block_used_at_{0};  // by a large value, the last time; 0: none is kept
  SpinBudget spins_;  // the leader's, and if that is a fiber: it keeps its worker meanwhile
  SpinBudget fiber_spins_{5'000};
  Event ended_;

  // The dispatcher's.
  std::uint64_t workers_made_ = 0;
  std::size_t size_ = 0;         // of workers that there shall be while there is work for them
  std::int64_t growth_due_ = 0;  // when one more may be added; 0: nobody has asked
  unsigned deaths_in_a_row_ = 0;
  unsigned deadly_tasks_in_a_row_ = 0;
  std::int64_t last_counted_ = 0;
  unsigned failed_starts_ = 0;
  std::int64_t next_start_ = 0;
  std::uint64_t replies_at_last_death_ = 0;
  bool found_many_ = false;
  std::uint64_t replies_at_last_look_ = 0;
  bool somebody_died_ = false;
};

}  // namespace weft::detail
