#pragma once

// What handles of Future share: the work, its result and who waits for it. Headers of weft only.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/detail/bound_call.hpp>
#include <weft/detail/selectable.hpp>
#include <weft/detail/task_memory.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

class FutureState;
class Roster;

/// What happens when a future is done. Linked to one future at a time; called once, from the context that ends it, or from
/// the one that links it to a future that is done. May end its own life then.
class DoneHook {
 public:
  virtual void on_done(FutureState& future) noexcept = 0;
  DoneHook* next = nullptr;
  FutureState* done = nullptr;  ///< The future, while this waits to be called for it.
  /// What it does besides noting the end: it puts results of several together, and ends the future that is made of them; or it calls
  /// what users have given.
  enum class Calls : std::uint8_t { Nothing, Gatherers, Users };
  Calls calls = Calls::Users;

 protected:
  ~DoneHook() = default;
};

/// Is told when a publish() may take long, as it calls what users have given.
class BeforeHooks {
 public:
  virtual void hooks_follow() noexcept = 0;

 protected:
  ~BeforeHooks() = default;
};

/// One result to come, from when it is promised until the last handle is gone.
///
/// The state word decides, one compare-and-swap a step, between running it, cancelling it and being done:
///
///   pending --begin()--> running --publish()--> done
///      \---cancel()--------------------------> done, cancelled
///
/// Orders: publish() and cancel() release, done() acquires: whoever sees the end sees the result.
class FutureState : public Explained {
 public:
  FutureState(const FutureState&) = delete;
  FutureState& operator=(const FutureState&) = delete;

  [[nodiscard]] bool done() const noexcept { return (word() & kDone) != 0; }
  [[nodiscard]] bool running() const noexcept {
    const std::uint32_t now = word();
    return (now & kDone) == 0 && ((now & kRunning) != 0 || begun_elsewhere());
  }
  [[nodiscard]] bool cancelled() const noexcept { return (word() & kCancelled) != 0; }

  /// False: not done in time. Throws: what interrupts a wait.
  bool wait_until(Deadline deadline);
  // For a wait in several places: links an entry (false: it is done), takes it out.
  [[nodiscard]] bool enlist(Entry& entry) noexcept;
  void withdraw(Entry& entry) noexcept;
  void link(DoneHook& hook) noexcept;
  /// False: it is being called, or has been.
  [[nodiscard]] bool unlink(DoneHook& hook) noexcept;

  /// True: cancelled, now or before. False: it has begun.
  bool cancel() noexcept;
  /// Cancels it; if it has begun, its blocking calls throw Cancelled from now on.
  void kill() noexcept;

  /// After the end: throws what it ended with, if not with a value.
  void throw_failure() const;
  [[nodiscard]] const std::exception_ptr& failure() const noexcept { return failure_; }
  /// After the end: whether by an exception. One that was cancelled has not failed.
  [[nodiscard]] bool failed() const noexcept { return !cancelled() && failure_ != nullptr; }

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    // A sole owner needs no atomic subtraction: nobody else can add a reference to what he cannot reach.
    if (is_abandoned() || references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  /// Whether the caller's is the only reference.
  [[nodiscard]] bool is_abandoned() const noexcept { return references_.load(std::memory_order_acquire) == 1; }

  // For who makes it come true, and owns a reference.
  /// `runner`: the calling context, if the work is done by it. False: it has been cancelled.
  [[nodiscard]] bool begin(Context* runner) noexcept;
  /// After begin(): calls what is to be called.
  void perform() noexcept;
  void fail(std::exception_ptr why) noexcept { failure_ = std::move(why); }
  /// Done; the reference stays the caller's. When hooks are about to be called, `before_hooks`, if there is one, is told first.
  void publish(BeforeHooks* before_hooks = nullptr) noexcept;
  /// publish(), unless that would call more than `most`: nothing has changed then. What there was to be called.
  DoneHook::Calls publish_if(DoneHook::Calls most) noexcept;
  /// Without running it. False: it has been cancelled.
  bool fail_unbegun(std::exception_ptr why) noexcept;
  /// Where it stands in line.
  void set_roster(const Roster& roster) noexcept { roster_.store(&roster, std::memory_order_relaxed); }

  void explain(char* text, std::size_t room) const noexcept override;

  static void* operator new(std::size_t bytes) { return allocate_task(bytes); }
  static void operator delete(void* memory, std::size_t bytes) noexcept { free_task(memory, bytes); }
  static void* operator new(std::size_t bytes, std::align_val_t alignment) { return ::operator new(bytes, alignment); }
  static void operator delete(void* memory, std::size_t, std::align_val_t alignment) noexcept {
    ::operator delete(memory, alignment);
  }

 protected:
  explicit FutureState(std::uint32_t references) noexcept : references_{references} {}
  virtual ~FutureState() = default;

  /// Calls the callable, keeps its value and destroys it. May throw.
  virtual void execute() {}
  /// Destroys the callable without calling it.
  virtual void abandon() noexcept {}

  // Of work that another process does.
  [[nodiscard]] virtual bool is_elsewhere() const noexcept { return false; }
  [[nodiscard]] virtual bool begun_elsewhere() const noexcept { return false; }
  /// Takes it back before it begins. False: it has begun.
  [[nodiscard]] virtual bool take_back() noexcept { return true; }
  /// Somebody is about to wait for it, who may see to the end himself: whether it is done. Throws: what interrupts a wait.
  virtual bool advance([[maybe_unused]] Deadline deadline) { return false; }
  /// Calls what users have given, or has it called soon: when it is given for a future that is done, or that is cancelled.
  virtual void call_back(DoneHook& hook) noexcept { hook.on_done(*this); }

  std::atomic<bool> taken_{false};  // the value has been moved out; by one of several handles, perhaps

 private:
  static constexpr std::uint32_t kList = 1, kRunning = 2, kDone = 4, kCancelled = 8, kWaiters = 16, kHooks = 32, kKilled = 64;
  using Guard = ListGuard<std::uint32_t, kList>;

  [[nodiscard]] std::uint32_t word() const noexcept { return state_.load(std::memory_order_acquire); }
  /// Of a future that has not just been published.
  void call(DoneHook& hook) noexcept { hook.calls == DoneHook::Calls::Users ? call_back(hook) : hook.on_done(*this); }
  [[nodiscard]] DoneHook* end(Guard& guard, std::uint32_t how) noexcept;
  [[nodiscard]] static std::size_t holders(const void* explained, std::uint64_t* ids, std::size_t most) noexcept;

  std::atomic<std::uint32_t> state_{0};
  std::atomic<std::uint32_t> references_;
  WaitList waiters_;                       // guarded by kList
  DoneHook* hooks_ = nullptr;              // the newest first; guarded by kList
  Context* runner_ = nullptr;              // written before kRunning, by the one who begins it
  std::atomic<std::uint64_t> runner_id_{0};
  std::atomic<const Roster*> roster_{nullptr};
  std::exception_ptr failure_;
  bool ended_by_kill_ = false;
};

[[noreturn]] void throw_result_taken();
[[noreturn]] void throw_empty_future();
void report_callback_failure(const std::exception_ptr& failure) noexcept;

/// With the value.
template <class R>
class FutureResult : public FutureState {
 public:
  using Reference = R&;
  /// After the end, once.
  R take() {
    claim_result();
    return std::move(*value_);
  }
  R& view() {
    check_result();
    return *value_;
  }

 protected:
  using FutureState::FutureState;
  template <class F>
  void keep(F&& make) {
    value_.emplace(make());
  }

  void claim_result() {
    this->throw_failure();
    if (this->taken_.exchange(true, std::memory_order_relaxed)) throw_result_taken();
  }
  void check_result() const {
    this->throw_failure();
    if (this->taken_.load(std::memory_order_relaxed)) throw_result_taken();
  }

  std::optional<R> value_;
};

template <class R>
class FutureResult<R&> : public FutureState {
 public:
  using Reference = R&;
  R& take() { return view(); }
  R& view() {
    throw_failure();
    return *value_;
  }

 protected:
  using FutureState::FutureState;
  template <class F>
  void keep(F&& make) {
    value_ = &make();
  }

  R* value_ = nullptr;
};

template <>
class FutureResult<void> : public FutureState {
 public:
  using Reference = void;
  void take() { throw_failure(); }
  void view() { throw_failure(); }

 protected:
  using FutureState::FutureState;
  template <class F>
  void keep(F&& make) {
    make();
  }
};

/// With the callable that makes the value: one allocation for both, and for all who wait.
template <class R, class Callable>
class JobOf final : public FutureResult<R> {
 public:
  explicit JobOf(Callable&& callable) : FutureResult<R>{2}, callable_{std::in_place, std::move(callable)} {}

 private:
  void execute() override {
    // What the callable holds is released when it ends, not when the last handle goes.
    struct Destroy {
      std::optional<Callable>& callable;
      ~Destroy() { callable.reset(); }
    } destroy{callable_};
    this->keep(*callable_);
  }
  void abandon() noexcept override { callable_.reset(); }

  std::optional<Callable> callable_;
};

/// Of callable(args...), which are copied or moved into it. Two references: the handle's and the executor's.
template <class F, class... Args>
auto make_job(F&& callable, Args&&... args) {
  if constexpr (sizeof...(Args) == 0 && std::is_invocable_v<std::decay_t<F>&>) {
    return static_cast<FutureResult<std::invoke_result_t<std::decay_t<F>&>>*>(
        new JobOf<std::invoke_result_t<std::decay_t<F>&>, std::decay_t<F>>{std::decay_t<F>(std::forward<F>(callable))});
  } else {
    auto body = bind_call(std::forward<F>(callable), std::forward<Args>(args)...);
    using R = BoundResult<F, Args...>;
    return static_cast<FutureResult<R>*>(new JobOf<R, decltype(body)>{std::move(body)});
  }
}

}  // namespace weft::detail
