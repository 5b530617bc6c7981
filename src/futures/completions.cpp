#include <weft/detail/completions.hpp>

#include <string>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/futures/as_completed.hpp>
#include <weft/futures/wait.hpp>

namespace weft::detail {

Completions& Completions::watch(const std::vector<FutureState*>& futures) {
  auto& completions = *new Completions{futures.size()};
  for (std::size_t i = 0; i < futures.size(); ++i) {
    Hook& hook = completions.hooks_[i];
    hook.of = &completions;
    hook.future = futures[i];
  }
  for (Hook& hook : completions.hooks_) hook.future->link(hook);
  return completions;
}

// A stack that any hook pushes to and the waiter takes whole: release, so that he sees what the hook's link points to. Nothing is
// touched behind the release of the reference.
void Completions::add(Hook& hook) noexcept {
  Hook* newest = done_.load(std::memory_order_relaxed);
  do {
    hook.next_done = newest;
  } while (!done_.compare_exchange_weak(newest, &hook, std::memory_order_release, std::memory_order_relaxed));
  ready_.release();
  release(1);
}

std::size_t Completions::next(Deadline deadline) {
  if (!ready_.try_acquire_until(deadline)) return SIZE_MAX;
  if (!taken_) {
    // A permit stands for a hook that was pushed before: there is one.
    Hook* newest = done_.exchange(nullptr, std::memory_order_acquire);
    while (newest) {
      Hook* next = newest->next_done;
      newest->next_done = std::exchange(taken_, newest);
      newest = next;
    }
  }
  Hook& hook = *std::exchange(taken_, taken_->next_done);
  hook.future = nullptr;
  return static_cast<std::size_t>(&hook - hooks_.data());
}

void Completions::give_up() noexcept {
  std::size_t dropped = 1;
  for (Hook& hook : hooks_) {
    if (hook.future && hook.future->unlink(hook)) ++dropped;
  }
  release(dropped);
}

void Completions::release(std::size_t references) noexcept {
  if (references_.fetch_sub(references, std::memory_order_acq_rel) == references) delete this;
}

void throw_as_completed_timeout(std::size_t left, std::size_t all) {
  throw TimeoutError{"as_completed: the deadline passed with " + std::to_string(left) + " of " + std::to_string(all) +
                     " futures not done"};
}

namespace {

void wait_for_all(const std::vector<FutureState*>& futures, Deadline deadline) {
  for (FutureState* future : futures) {
    if (!future->wait_until(deadline)) return;
  }
}

void wait_for_first(const std::vector<FutureState*>& futures, bool failures_only, Deadline deadline) {
  for (const FutureState* future : futures) {
    if (future->done() && (!failures_only || future->failed())) return;
  }
  Watching watching{futures};
  for (std::size_t count = 0; count < futures.size(); ++count) {
    const std::size_t number = watching.next(deadline);
    if (number == SIZE_MAX || !failures_only || futures[number]->failed()) return;
  }
}

}  // namespace

DoneAndNotDone wait_for_futures(const std::vector<FutureState*>& futures, bool all, bool failures_only, Deadline deadline) {
  if (all) {
    wait_for_all(futures, deadline);
  } else {
    wait_for_first(futures, failures_only, deadline);
  }
  DoneAndNotDone result;
  for (std::size_t i = 0; i < futures.size(); ++i) (futures[i]->done() ? result.done : result.not_done).push_back(i);
  return result;
}

}  // namespace weft::detail
