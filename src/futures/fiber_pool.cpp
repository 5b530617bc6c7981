#include <weft/detail/pool_core.hpp>

#include <atomic>
#include <exception>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/detail/context.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/sync/event.hpp>

#include "futures/pool_jobs.hpp"

namespace weft::detail {

namespace {

/// A job gets a fiber of its own while there are fewer than there may be; otherwise it stands in line, and a fiber that is done takes
/// it over. Fibers are too cheap to be kept waiting for work.
///
/// Whoever changes one of two things looks at the other afterwards, with sequentially consistent order on both sides, so that one
/// of two who act at once sees what the other did:
///   - submit() puts a job in line, then looks for room; a fiber that leaves gives back its room, then looks at the line;
///   - shutdown() closes the line, then looks whether anybody has room; submit() takes room, then looks whether it is closed.
class FiberPool final : public PoolCore, public std::enable_shared_from_this<FiberPool> {
 public:
  FiberPool(PoolConfig config, Scheduler* scheduler)
      : jobs_{config.kind, config.name, config.most_workers, config.most_pending},
        most_{config.most_workers},
        scheduler_{scheduler} {}

  void submit(FutureState& job) override {
    job.set_roster(jobs_.roster());
    if (jobs_.is_left_behind()) [[unlikely]] refuse(job);
    if (take_room()) {
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (jobs_.is_closed()) [[unlikely]] {
        leave();
        refuse(job);
      }
      return start_fiber(job);
    }
    jobs_.put(job);
    start_what_waits();
    tell_if_over();
  }

  void shutdown(bool wait, bool cancel) override {
    if (jobs_.is_left_behind()) return;
    jobs_.close();
    if (cancel) jobs_.cancel_waiting();
    tell_if_over();
    if (wait) all_gone_.wait();
  }

  [[nodiscard]] std::size_t workers() const noexcept override { return running_.load(std::memory_order_relaxed); }

 private:
  /// What a fiber is made of. One that is killed before it begins calls its job off.
  struct Start {
    std::shared_ptr<FiberPool> pool;
    FutureState* job;

    Start(std::shared_ptr<FiberPool> of, FutureState& first) noexcept : pool{std::move(of)}, job{&first} {}
    Start(Start&& other) noexcept : pool{std::move(other.pool)}, job{std::exchange(other.job, nullptr)} {}
    ~Start() {
      if (!job) return;
      (void)job->cancel();
      job->release();
      pool->leave();
    }
    void operator()() { pool->work(*std::exchange(job, nullptr)); }
  };

  [[noreturn]] void refuse(FutureState& job) {
    job.release();
    jobs_.refuse();
  }

  [[nodiscard]] bool take_room() noexcept {
    if (most_ == 0) {
      running_.fetch_add(1, std::memory_order_seq_cst);
      return true;
    }
    unsigned running = running_.load(std::memory_order_seq_cst);
    while (running < most_) {
      if (running_.compare_exchange_weak(running, running + 1, std::memory_order_seq_cst)) return true;
    }
    return false;
  }

  void leave() noexcept {
    running_.fetch_sub(1, std::memory_order_seq_cst);
    start_what_waits();
    tell_if_over();
  }

  // Whoever gives back room looks at the line again, as another may have left a job there for want of just that room.
  void start_what_waits() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    while (!jobs_.empty() && take_room()) {
      if (FutureState* waiting = jobs_.try_take()) {
        try {
          start_fiber(*waiting);
        } catch (...) {
          // No memory: the job has been called off, and its room given back, by what start_fiber() had made.
        }
      } else {
        running_.fetch_sub(1, std::memory_order_seq_cst);
        std::atomic_thread_fence(std::memory_order_seq_cst);
      }
    }
  }

  // In this order: no job comes in line once it is closed; and who takes one from the line has taken room before.
  void tell_if_over() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (jobs_.is_closed() && jobs_.empty() && running_.load(std::memory_order_seq_cst) == 0) all_gone_.set();
  }

  void start_fiber(FutureState& job) { (void)start_task(*scheduler_, make_task(nullptr, Start{shared_from_this(), job})); }

  void work(FutureState& first) {
    Context& self = current_context();
    if (most_ != 0) jobs_.roster().sign_in(self.id);
    for (FutureState* job = &first; job; job = next_job(self)) {
      if (job->begin(&self)) {
        job->perform();
        job->publish();
      }
      job->release();
      if (jobs_.is_left_behind()) return;  // it has forked, and this is the child: what waits is its parent's
    }
  }

  // Null: there is none, and this fiber's room has been given back.
  FutureState* next_job(Context& self) {
    for (;;) {
      if (FutureState* job = most_ != 0 ? jobs_.try_take() : nullptr) return job;
      if (most_ != 0) jobs_.roster().sign_out(self.id);
      running_.fetch_sub(1, std::memory_order_seq_cst);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (most_ == 0 || jobs_.empty() || !take_room()) break;
      jobs_.roster().sign_in(self.id);
    }
    tell_if_over();
    return nullptr;
  }

  PoolJobs jobs_;
  const unsigned most_;
  Scheduler* const scheduler_;
  std::atomic<unsigned> running_{0};
  Event all_gone_{"the fibers of a pool have ended"};
};

}  // namespace

std::shared_ptr<PoolCore> make_fiber_pool(PoolConfig config, Scheduler* scheduler) {
  return std::make_shared<FiberPool>(std::move(config), scheduler ? scheduler : &current_scheduler());
}

}  // namespace weft::detail
