#include "engine/helper_pool.hpp"

#include <atomic>

#include "engine/engine_thread.hpp"

namespace weft::detail {

namespace {

constexpr auto kIdleBeforeEnd = std::chrono::seconds{10};
constexpr unsigned kMostBlocking = 64;
constexpr unsigned kMostResolving = 8;
constexpr unsigned kMostReceiving = 256;  // some may wait for what others of them receive

std::atomic<HelperPool*> blocking_pool{nullptr};
std::atomic<HelperPool*> resolver_pool{nullptr};
std::atomic<HelperPool*> result_pool{nullptr};

HelperPool& made_on_first_use(std::atomic<HelperPool*>& pool, const char* name, unsigned most) {
  if (HelperPool* made = pool.load(std::memory_order_acquire)) return *made;
  auto* fresh = new HelperPool{name, most};
  HelperPool* expected = nullptr;
  if (pool.compare_exchange_strong(expected, fresh, std::memory_order_acq_rel)) return *fresh;
  delete fresh;
  return *expected;
}

bool rests(const std::atomic<HelperPool*>& pool) {
  HelperPool* const made = pool.load(std::memory_order_acquire);
  return !made || made->rests();
}

}  // namespace

void HelperPool::submit(UniqueFunction<void()> job) {
  const std::lock_guard guard{lock_};
  jobs_.push_back(std::move(job));
  if (idle_ >= jobs_.size()) {
    work_.notify_one();
  } else if (threads_ < most_) {
    start_thread();
  }
}

bool HelperPool::rests() {
  const std::lock_guard guard{lock_};
  return jobs_.empty() && idle_ == threads_;
}

void HelperPool::start_thread() {
  try {
    start_engine_thread(name_.c_str(), [this] { serve(); });
    ++threads_;
  } catch (...) {
    // No more threads to be had: those that exist will get to it; without any, the caller must know.
    if (threads_ == 0) {
      jobs_.pop_back();
      throw;
    }
  }
}

void HelperPool::serve() {
  std::unique_lock guard{lock_};
  for (;;) {
    while (jobs_.empty()) {
      ++idle_;
      const bool woken = work_.wait_for(guard, kIdleBeforeEnd, [this] { return !jobs_.empty(); });
      --idle_;
      if (!woken) {
        --threads_;
        return;
      }
    }
    UniqueFunction<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    guard.unlock();
    job();
    job = nullptr;
    guard.lock();
  }
}

HelperPool& blocking_helpers() { return made_on_first_use(blocking_pool, "weft-blocking", kMostBlocking); }
HelperPool& resolver_helpers() { return made_on_first_use(resolver_pool, "weft-resolver", kMostResolving); }
HelperPool& result_helpers() { return made_on_first_use(result_pool, "weft-results", kMostReceiving); }

bool helpers_rest() { return rests(blocking_pool) && rests(result_pool); }

void forget_helpers() noexcept {
  blocking_pool.store(nullptr, std::memory_order_relaxed);
  resolver_pool.store(nullptr, std::memory_order_relaxed);
  result_pool.store(nullptr, std::memory_order_relaxed);
}

}  // namespace weft::detail
