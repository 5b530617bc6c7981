#pragma once

// Waiting for many futures at once. Headers of weft only.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/detail/future_state.hpp>
#include <weft/sync/semaphore.hpp>

namespace weft {
struct DoneAndNotDone;
}

namespace weft::detail {

[[nodiscard]] DoneAndNotDone wait_for_futures(const std::vector<FutureState*>& futures, bool all, bool failures_only,
                                              Deadline deadline);

/// Hands out the numbers of futures in the order in which they become done.
///
/// The futures' hooks and the object itself share one block of memory, which goes with the last of them: a hook may be
/// called at the very moment its future is given up.
class Completions {
 public:
  [[nodiscard]] static Completions& watch(const std::vector<FutureState*>& futures);
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  /// SIZE_MAX: none was done in time. To be called as often as there are futures, at most. Throws: what interrupts a wait.
  [[nodiscard]] std::size_t next(Deadline deadline);
  /// No more numbers: what is not done yet is watched no longer.
  void give_up() noexcept;

 private:
  class Hook final : public DoneHook {
   public:
    Hook() { calls = Calls::Nothing; }
    void on_done(FutureState&) noexcept override { of->add(*this); }
    Completions* of = nullptr;
    FutureState* future = nullptr;  // null: told
    Hook* next_done = nullptr;
  };

  explicit Completions(std::size_t count) : hooks_(count), references_{count + 1} {}
  ~Completions() = default;

  void add(Hook& hook) noexcept;
  void release(std::size_t references) noexcept;

  std::vector<Hook> hooks_;
  std::atomic<std::size_t> references_;
  std::atomic<Hook*> done_{nullptr};  // the newest first
  Hook* taken_ = nullptr;             // the oldest first; the waiter's
  Semaphore ready_{0, "futures that are done"};
};

/// A Completions with one owner.
class Watching {
 public:
  explicit Watching(const std::vector<FutureState*>& futures) : completions_{&Completions::watch(futures)} {}
  Watching(Watching&& other) noexcept : completions_{std::exchange(other.completions_, nullptr)} {}
  Watching& operator=(Watching&&) = delete;
  ~Watching() {
    if (completions_) completions_->give_up();
  }
  [[nodiscard]] std::size_t next(Deadline deadline) { return completions_->next(deadline); }

 private:
  Completions* completions_;
};

}  // namespace weft::detail
