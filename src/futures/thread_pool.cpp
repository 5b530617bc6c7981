#include <weft/detail/pool_core.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/detail/context.hpp>
#include <weft/sync/lock.hpp>
#include <weft/thread/current_thread.hpp>
#include <weft/thread/thread.hpp>

#include "futures/pool_jobs.hpp"

namespace weft::detail {

namespace {

/// Threads are made as they are needed: when a job comes that no idle one is sure to take, until there are as many as there may be.
///
/// While more may be made, `spare_` counts the workers who will soon take another job from the line, so that a job that
/// comes claims one of them instead of a new thread: a worker adds itself before it publishes its result, so that whoever waits for
/// that, and then submits again, finds it. If it is to call callbacks first, which may take long, it takes that back, or sees to
/// another thread if it has been claimed. Once there are enough, nobody counts.
class ThreadPool final : public PoolCore, public std::enable_shared_from_this<ThreadPool> {
 public:
  explicit ThreadPool(PoolConfig config)
      : jobs_{config.kind, config.name, config.most_workers, config.most_pending},
        most_{config.most_workers},
        initializer_{std::move(config.initializer)} {}

  void submit(FutureState& job) override {
    try {
      if (jobs_.is_left_behind()) [[unlikely]] jobs_.refuse();  // put() knows of other reasons
      if (made_.load(std::memory_order_relaxed) < most_) find_worker();
    } catch (...) {
      job.release();
      throw;
    }
    jobs_.put(job);
  }

  void shutdown(bool wait, bool cancel) override {
    if (jobs_.is_left_behind()) return;
    jobs_.close();
    if (cancel) jobs_.cancel_waiting();
    if (!wait) return;
    // One that ends may have made another.
    for (std::size_t joined = 0; joined < workers(); ++joined) {
      Thread thread = numbered(joined);
      if (thread != current_thread()) thread.join();
    }
  }

  [[nodiscard]] std::size_t workers() const noexcept override { return made_.load(std::memory_order_relaxed); }

 private:
  /// A worker that has counted itself as spare and turns out not to be.
  class NotSpare final : public BeforeHooks {
   public:
    explicit NotSpare(ThreadPool& pool) : pool_{pool} {}
    void hooks_follow() noexcept override {
      try {
        pool_.find_worker(EvenIf::Closed);
      } catch (...) {
        // There is no thread to be had: the job waits for this one.
      }
    }

   private:
    ThreadPool& pool_;
  };
  enum class EvenIf : bool { Open, Closed };

  /// Claims one that is spare, or makes one.
  void find_worker(EvenIf even_if = EvenIf::Open) {
    int spare = spare_.load(std::memory_order_relaxed);
    while (spare > 0) {
      if (spare_.compare_exchange_weak(spare, spare - 1, std::memory_order_relaxed)) return;
    }
    add_thread(even_if);
  }

  // The thread comes before its job: if there cannot be one, the job has not been taken.
  void add_thread(EvenIf even_if) {
    const std::lock_guard guard{threads_lock_};
    const unsigned number = made_.load(std::memory_order_relaxed);
    if (number == most_ || (even_if == EvenIf::Open && jobs_.is_closed())) return;
    Thread thread{[self = shared_from_this()] { self->work(); }};
    thread.set_name(jobs_.name() + '_' + std::to_string(number)).set_daemon(true);
    try {
      thread.start();
    } catch (...) {
      if (number == 0) throw;
      return;  // the others will do it
    }
    threads_.push_back(std::move(thread));
    made_.store(number + 1, std::memory_order_relaxed);
  }

  [[nodiscard]] Thread numbered(std::size_t number) {
    const std::lock_guard guard{threads_lock_};
    return threads_[number];
  }

  void work() {
    if (!initialize()) return;
    Context& self = current_context();
    jobs_.roster().sign_in(self.id);
    struct SignOut {
      Roster& roster;
      std::uint64_t id;
      ~SignOut() { roster.sign_out(id); }
    } sign_out{jobs_.roster(), self.id};
    try {
      while (FutureState* job = jobs_.take()) {
        run(*job, self);
        if (jobs_.is_left_behind()) return;  // it has forked, and this is the child: what waits is its parent's
        if (self.cancel.load(std::memory_order_relaxed) & Context::kKilled) throw Cancelled{};
      }
    } catch (const Cancelled&) {
      jobs_.break_down("one of its threads was killed");
    }
  }

  void run(FutureState& job, Context& self) noexcept {
    if (!job.begin(&self)) return job.release();
    job.perform();
    if (made_.load(std::memory_order_relaxed) == most_ || !jobs_.empty()) {
      job.publish();
      return job.release();
    }
    // Nobody waits for this one, and the result's destructor, which may take long, is about to run here.
    if (job.is_abandoned()) {
      job.publish();
      job.release();
      spare_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    spare_.fetch_add(1, std::memory_order_relaxed);
    NotSpare not_spare{*this};
    job.publish(&not_spare);  // behind callbacks it is spare again, and not counted: a thread too many may be made, within the bound
    job.release();
  }

  [[nodiscard]] bool initialize() {
    if (!initializer_) return true;
    std::string why = "its initializer threw";
    try {
      initializer_();
      return true;
    } catch (const std::exception& error) {
      why += std::string{": "} + error.what();
    } catch (const Cancelled&) {
      why = "its worker was killed in the initializer";
    } catch (...) {
    }
    jobs_.break_down(why);
    return false;
  }

  PoolJobs jobs_;
  const unsigned most_;
  UniqueFunction<void()> initializer_;
  std::atomic<unsigned> made_{0};
  std::atomic<int> spare_{0};
  Lock threads_lock_{"threads of a pool"};
  std::vector<Thread> threads_;  // guarded by threads_lock_
};

}  // namespace

std::shared_ptr<PoolCore> make_thread_pool(PoolConfig config) { return std::make_shared<ThreadPool>(std::move(config)); }

}  // namespace weft::detail
