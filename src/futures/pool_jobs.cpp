#include "futures/pool_jobs.hpp"

#include <exception>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/sync/scope.hpp>

namespace weft::detail {

namespace {

std::string default_name(const char* kind) {
  static std::atomic<unsigned> made{0};
  return std::string{kind} + '-' + std::to_string(made.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace

PoolJobs::PoolJobs(const char* kind, const std::string& name, unsigned most_workers, std::size_t most_pending)
    : name_{name.empty() ? default_name(kind) : name},
      kind_{kind},
      roster_{Roster::take(kind, name_, most_workers)},
      jobs_{roster_, most_pending, kind} {}

std::size_t PoolJobs::Line::holders(const void* room, std::uint64_t* ids, std::size_t most) noexcept {
  return static_cast<const Room*>(static_cast<const Explained*>(room))->roster.workers(ids, most);
}

PoolJobs::~PoolJobs() {
  cancel_waiting();
  Roster::give_back(roster_);
}

void PoolJobs::refuse() const {
  const std::string what = std::string{"submit to "} + kind_ + " \"" + name_ + "\": ";
  if (is_left_behind()) {
    throw BrokenExecutor{what + "its workers stayed behind in the parent of this process; make a new one after fork()"};
  }
  if (broken_.load(std::memory_order_acquire)) throw BrokenExecutor{what + why_broken_};
  throw ShutDown{what + "it has been shut down"};
}

void PoolJobs::put(FutureState& job) {
  job.set_roster(roster_);
  try {
    jobs_.put(&job);
  } catch (const ShutDown&) {
    job.release();
    refuse();
  } catch (...) {
    job.release();
    throw;
  }
}

FutureState* PoolJobs::try_take() { return jobs_.try_get().value_or(nullptr); }
FutureState* PoolJobs::take() { return jobs_.get_until(Deadline::never()).value_or(nullptr); }

void PoolJobs::break_down(const std::string& why) {
  if (!is_closed() && !breaking_.exchange(true, std::memory_order_relaxed)) {
    why_broken_ = why;
    broken_.store(true, std::memory_order_release);
  }
  close();
  while (FutureState* job = try_take()) {
    (void)job->fail_unbegun(std::make_exception_ptr(BrokenExecutor{std::string{kind_} + " \"" + name_ + "\": " + why}));
    job->release();
  }
}

void PoolJobs::cancel_waiting() noexcept {
  while (FutureState* job = try_take()) {
    (void)job->cancel();
    job->release();
  }
}

void end_pool(PoolCore& pool, int exceptions_before) noexcept {
  const Shield shield;
  pool.shutdown(true, std::uncaught_exceptions() > exceptions_before);
}

}  // namespace weft::detail
