#pragma once

// Work that another process does: what is sent there, and what comes back. Headers of weft only.

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <weft/detail/call_sent.hpp>
#include <weft/detail/future_state.hpp>
#include <weft/futures/future.hpp>
#include <weft/process/sendable.hpp>

namespace weft::detail {

class PoolLink;
struct PoolSlot;
class RemoteTask;

/// A pool of processes, as its tasks know it.
class ProcessPoolCore {
 public:
  ProcessPoolCore(const ProcessPoolCore&) = delete;
  ProcessPoolCore& operator=(const ProcessPoolCore&) = delete;

  /// Takes over a reference to the task. Throws: ShutDown, BrokenExecutor, what interrupts the wait for room; the reference has been
  /// released then.
  virtual void submit(RemoteTask& task) = 0;
  /// No more work. `cancel`: what has not begun is cancelled. `wait`: until all workers have ended.
  virtual void shutdown(bool wait, bool cancel) = 0;
  /// The same, and what runs is ended with its worker.
  virtual void terminate(bool wait) = 0;
  /// Until all workers have ended, once it has been closed; as shutdown(true, ...) does. False: not in time.
  [[nodiscard]] virtual bool wait_for_end(Deadline deadline) = 0;
  [[nodiscard]] virtual bool is_closed() const noexcept = 0;
  [[nodiscard]] virtual std::size_t workers() const noexcept = 0;
  /// How many there may be.
  [[nodiscard]] virtual std::size_t most_workers() const noexcept = 0;
  [[nodiscard]] virtual std::vector<int> pids() const = 0;
  /// What a task is given unless it says otherwise: so long may it run, and so often is it begun again.
  [[nodiscard]] virtual std::chrono::nanoseconds usual_limit() const noexcept = 0;
  [[nodiscard]] virtual unsigned usual_retries() const noexcept = 0;

  // For tasks.
  [[nodiscard]] virtual bool advance(FutureState& future, Deadline deadline) = 0;
  [[nodiscard]] virtual bool take_back(RemoteTask& task) noexcept = 0;
  [[nodiscard]] virtual bool has_begun(const RemoteTask& task) noexcept = 0;
  /// What users have given for a task that is done: called at once, or when those that are being called are through.
  virtual void call_back(FutureState& future, DoneHook& hook) noexcept = 0;
  /// For reports, of a task that has not ended: "in line at ...". Called as Explained::explain() is.
  virtual void explain(const RemoteTask& task, char* text, std::size_t room) noexcept = 0;
  /// For the search for deadlocks: the numbers of the processes of which one must act for the task to end. Empty: nobody in particular, or more can
  /// be told later. Called as Holders are.
  [[nodiscard]] virtual std::vector<int> workers_needed(const RemoteTask& task) = 0;

 protected:
  ProcessPoolCore() = default;
  ~ProcessPoolCore() = default;
};

/// What a worker calls for a task: reads callable and arguments, calls, and then writes the result, perhaps to where it has read.
using RunSent = void (*)(process::Incoming& in, process::Outgoing& out);

/// What an argument travels as: a literal as the text that it is.
template <class T>
using SentAs = std::conditional_t<std::is_same_v<std::decay_t<T>, const char*> || std::is_same_v<std::decay_t<T>, char*>, std::string,
                                  std::decay_t<T>>;

/// What a task's own options say.
struct RemoteLimits {
  std::chrono::nanoseconds limit{0};  // 0: none
  unsigned retries = 0;
};

/// To make one of what was sent, and to drop it, runs no code of the user's. Of the standard types, those that results are made of most.
template <class T>
inline constexpr bool received_by_weft_alone =
    std::is_arithmetic_v<T> || std::is_enum_v<T> ||
    (sent_as_bytes<T> && std::is_trivially_default_constructible_v<T> && !HasTransfer<T> && !SendsItself<T>);
template <>
inline constexpr bool received_by_weft_alone<void> = true;
template <>
inline constexpr bool received_by_weft_alone<std::string> = true;
template <class T>
inline constexpr bool received_by_weft_alone<std::vector<T>> = received_by_weft_alone<T>;
template <class T, std::size_t N>
inline constexpr bool received_by_weft_alone<std::array<T, N>> = received_by_weft_alone<T>;
template <class A, class B>
inline constexpr bool received_by_weft_alone<std::pair<A, B>> = received_by_weft_alone<A> && received_by_weft_alone<B>;
template <class... T>
inline constexpr bool received_by_weft_alone<std::tuple<T...>> = (received_by_weft_alone<T> && ...);

/// The part of a task that does not depend on its result. What is not said to be anybody's is the pool's, guarded by its lock.
class RemoteTask {
 public:
  RemoteTask(std::shared_ptr<ProcessPoolCore> pool, RemoteLimits limits) noexcept : core{std::move(pool)}, allowed{limits} {
    parcel.put_large_in_block();
  }
  RemoteTask(const RemoteTask&) = delete;
  RemoteTask& operator=(const RemoteTask&) = delete;

  [[nodiscard]] virtual FutureState& future() noexcept = 0;
  /// To receive the result, or to drop it, runs no code of the user's.
  [[nodiscard]] virtual bool is_plain() const noexcept = 0;
  /// Keeps the result. Throws: what reading it throws.
  virtual void accept(process::Incoming& in) = 0;
  /// Whether there is somebody to be told, by tell(), before anybody else sees the end.
  [[nodiscard]] virtual bool tells() const noexcept { return false; }
  virtual void tell() noexcept {}
  /// For reports: the function.
  [[nodiscard]] std::string describe() const;

  /// Writes down what is to be sent. A failure to do so is kept: it is the task's.
  template <class Write>
  void write(Write write) noexcept {
    try {
      write(parcel);
    } catch (...) {
      failure = std::current_exception();
    }
  }

 private:
  std::array<std::byte, 96> room_;

 public:
  enum class Place : std::uint8_t { Nowhere, InLine, AtWorker };

  const std::shared_ptr<ProcessPoolCore> core;
  process::Outgoing parcel{room_};
  RemoteLimits allowed;
  void (*function)() = nullptr;                  // what describe() names, or
  const std::type_info* function_type = nullptr;
  std::exception_ptr failure;

  std::uint64_t order = 0;  // of its coming
  Place place = Place::Nowhere;
  std::uint8_t slot = 0;
  std::uint8_t area = 0;
  bool taken_back = false;
  void* worker = nullptr;
  PoolSlot* reply = nullptr;
  PoolLink* link = nullptr;  // that of the reply
  std::vector<OwnedFd> received;
  std::string done_by;  // if it failed
  std::vector<std::byte> kept_reply;  // of one that is read aside
  RemoteTask* next = nullptr;
  RemoteTask* previous = nullptr;

 protected:
  ~RemoteTask() = default;
};

/// The future that a task makes true.
template <class Value>
class RemoteFuture : public FutureResult<Value>, public RemoteTask {
 public:
  FutureState& future() noexcept final { return *this; }

 protected:
  RemoteFuture(std::shared_ptr<ProcessPoolCore> pool, RemoteLimits limits) noexcept
      : FutureResult<Value>{2}, RemoteTask{std::move(pool), limits} {}

  bool is_elsewhere() const noexcept final { return true; }
  bool begun_elsewhere() const noexcept final { return core->has_begun(*this); }
  bool take_back() noexcept final { return core->take_back(*this); }
  void explain(char* text, std::size_t room) const noexcept final { core->explain(*this, text, room); }
  bool advance(Deadline deadline) final { return core->advance(*this, deadline); }
  void call_back(DoneHook& hook) noexcept final { core->call_back(*this, hook); }
};

template <class R>
class RemoteResult : public RemoteFuture<R> {
 public:
  RemoteResult(std::shared_ptr<ProcessPoolCore> pool, RemoteLimits limits) noexcept : RemoteFuture<R>{std::move(pool), limits} {}

  bool is_plain() const noexcept override { return received_by_weft_alone<R>; }
  void accept(process::Incoming& in) override {
    this->keep([&]() -> R {
      if constexpr (!std::is_void_v<R>) return in.receive<R>();
    });
    require_all_read(in);
  }
};

/// Calls what is to be told of an end, once. A value is still there, as nobody has seen it.
template <class Callbacks, class R>
void tell_of_end(std::unique_ptr<Callbacks>& callbacks, const std::exception_ptr& failure, FutureResult<R>& result) noexcept {
  try {
    if (failure) {
      callbacks->error_callback(failure);
    } else if constexpr (std::is_void_v<R>) {
      callbacks->callback();
    } else {
      callbacks->callback(result.view());
    }
  } catch (...) {
    report_callback_failure(std::current_exception());
  }
  callbacks.reset();  // the future may be kept for long, even by what they hold
}

/// With what is told of its end.
template <class R, class Callbacks>
class ToldResult final : public RemoteResult<R> {
 public:
  ToldResult(std::shared_ptr<ProcessPoolCore> pool, RemoteLimits limits, Callbacks callbacks)
      : RemoteResult<R>{std::move(pool), limits}, callbacks_{std::make_unique<Callbacks>(std::move(callbacks))} {}

  bool tells() const noexcept override { return true; }
  void tell() noexcept override { tell_of_end(callbacks_, FutureState::failure(), *this); }

 private:
  void abandon() noexcept override { callbacks_.reset(); }

  std::unique_ptr<Callbacks> callbacks_;  // no optional: Clang cannot tell whether one of closures could be made by default
};

/// Makes the task of a call that nobody is told of.
struct UntoldTasks {
  template <class R>
  [[nodiscard]] RemoteResult<R>* make(const std::shared_ptr<ProcessPoolCore>& core, RemoteLimits limits) {
    return new RemoteResult<R>{core, limits};
  }
};

/// Makes those of which somebody is: apply_async() with callbacks.
template <class Callbacks>
struct ToldTasks {
  Callbacks callbacks;
  template <class R>
  [[nodiscard]] RemoteResult<R>* make(const std::shared_ptr<ProcessPoolCore>& core, RemoteLimits limits) {
    return new ToldResult<R, Callbacks>{core, limits, std::move(callbacks)};
  }
};

/// The results of a chunk.
template <class R>
class RemoteChunk final : public RemoteFuture<std::vector<R>> {
 public:
  RemoteChunk(std::shared_ptr<ProcessPoolCore> pool, RemoteLimits limits, std::size_t count) noexcept
      : RemoteFuture<std::vector<R>>{std::move(pool), limits}, count_{count} {}

  bool is_plain() const noexcept override { return received_by_weft_alone<R>; }
  void accept(process::Incoming& in) override {
    this->keep([&] {
      std::vector<R> results;
      if constexpr (sent_as_bytes<R>) {
        const auto bytes = in.view(count_ * sizeof(R));
        results.resize(count_);
        std::memcpy(results.data(), bytes.data(), bytes.size());
      } else {
        results.reserve(count_);
        for (std::size_t i = 0; i < count_; ++i) results.push_back(in.receive<R>());
      }
      return results;
    });
    require_all_read(in);
  }

 private:
  const std::size_t count_;
};

template <class F>
void name_function(RemoteTask& task, const F& callable) noexcept {
  if constexpr (std::is_pointer_v<F>) {
    task.function = reinterpret_cast<void (*)()>(callable);
  } else {
    task.function_type = &typeid(F);
  }
}

/// Has callable(args...) done by a worker, as a task of make<R>().
template <class F, class... Args, class Tasks>
auto submit_sent(Tasks tasks, const std::shared_ptr<ProcessPoolCore>& core, RemoteLimits limits, const F& callable, const Args&... args) {
  (require_sendable<F>(), ..., require_sendable<Args>());
  using R = SentResult<F, Args...>;
  if constexpr (!std::is_void_v<R>) require_sendable<R>();
  RemoteResult<R>& task = *tasks.template make<R>(core, limits);
  Future<R> future = FutureAccess::adopt<R>(task);
  name_function(task, callable);
  task.write([&](process::Outgoing& out) {
    send_function(out, reinterpret_cast<void (*)()>(&run_sent<F, Args...>));
    out(callable);
    (out(args), ...);
  });
  core->submit(task);
  return future;
}

/// What was given as an rvalue has been sent, and ends here.
template <class T>
void let_go(std::remove_reference_t<T>& given) {
  using Given = std::remove_reference_t<T>;
  if constexpr (!std::is_lvalue_reference_v<T> && !std::is_trivially_destructible_v<Given> && std::is_move_constructible_v<Given>) {
    [[maybe_unused]] const Given gone{std::move(given)};
  }
}

/// submit_sent() of what a user gives.
template <class Tasks, class F, class... Args>
auto submit_given(Tasks tasks, const std::shared_ptr<ProcessPoolCore>& core, RemoteLimits limits, F&& callable, Args&&... args) {
  auto future = submit_sent<std::decay_t<F>, SentAs<Args>...>(std::move(tasks), core, limits, callable, args...);
  (let_go<Args>(args), ...);
  return future;
}

/// The same for a chunk of calls.
template <class F, class Arguments>
auto submit_sent_chunk(const std::shared_ptr<ProcessPoolCore>& core, RemoteLimits limits, const F& callable,
                       const std::vector<Arguments>& inputs) {
  require_sendable<F>();
  require_sendable<Arguments>();
  using R = std::remove_cvref_t<decltype(std::apply(std::declval<F&>(), std::declval<Arguments>()))>;
  require_sendable<R>();
  auto& task = *new RemoteChunk<R>{core, limits, inputs.size()};
  Future<std::vector<R>> future = FutureAccess::adopt<std::vector<R>>(task);
  name_function(task, callable);
  task.write([&](process::Outgoing& out) {
    send_function(out, reinterpret_cast<void (*)()>(&run_sent_chunk<F, Arguments>));
    out(callable, static_cast<std::uint64_t>(inputs.size()));
    if constexpr (goes_as_array<Arguments>) {
      using T = std::tuple_element_t<0, Arguments>;
      out.reserve(inputs.size() * sizeof(T));
      for (const Arguments& input : inputs) out.write(&std::get<0>(input), sizeof(T));
    } else {
      for (const Arguments& input : inputs) out(input);
    }
  });
  core->submit(task);
  return future;
}

/// An executor of processes goes: its work is finished first; but what has not begun is cancelled if an exception unwinds.
void end_process_pool(ProcessPoolCore& pool, int exceptions_before) noexcept;

}  // namespace weft::detail
