#pragma once

// What the executor of processes and Pool are made of. Headers of weft only.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <weft/base/owned_fd.hpp>
#include <weft/detail/remote_task.hpp>
#include <weft/process/start_method.hpp>

namespace weft {

/// A call to be made in another process, perhaps in several: a function, captureless lambda or Sendable function object, with its arguments.
///
///     weft::process::Lock gate;
///     weft::ProcessPoolExecutor pool{{.initializer = {open_log, "worker.log", gate}}};
///
/// Semantics: the arguments are copied at once, what they refer to in shared memory is the same for all, and so are open files: of a
///            process::Lock, Queue or Event, a Connection or a Socket each worker gets a handle. A pool keeps what it needs for workers to
///            come until it has ended: a Connection's other end sees no end of the stream before.
/// Errors:    what sending the arguments throws, at once.
class SentCall {
 public:
  SentCall() = default;
  template <class F, class... Args>
    requires(!std::is_same_v<std::decay_t<F>, SentCall>)
  SentCall(const F& callable, const Args&... args) {
    write<std::decay_t<F>, detail::SentAs<Args>...>(callable, args...);
  }

  [[nodiscard]] const std::vector<std::byte>& bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::span<const OwnedFd> descriptors() const noexcept {
    return descriptors_ ? std::span<const OwnedFd>{*descriptors_} : std::span<const OwnedFd>{};
  }

 private:
  template <class F, class... Args>
  void write(const F& callable, const Args&... args) {
    (detail::require_sendable<F>(), ..., detail::require_sendable<Args>());
    process::Outgoing out;
    detail::send_function(out, reinterpret_cast<void (*)()>(&detail::run_sent_for_effect<F, Args...>));
    out(callable);
    (out(args), ...);
    bytes_.assign(out.bytes().begin(), out.bytes().end());
    if (!out.descriptors().empty()) descriptors_ = std::make_shared<const std::vector<OwnedFd>>(out.take_descriptors());
  }

  std::vector<std::byte> bytes_;
  std::shared_ptr<const std::vector<OwnedFd>> descriptors_;  // the same for all copies
};

/// How a single task is treated, if not as its pool treats all.
struct TaskOptions {
  /// So long may it run, from when it begins: then its worker is killed, and it fails with TimeoutError. 0: no limit.
  std::optional<std::chrono::nanoseconds> timeout = {};
  /// So often is it begun again when its worker died: for work that may be done twice.
  std::optional<unsigned> retries = {};
};

}  // namespace weft

namespace weft::detail {

struct ProcessPoolConfig {
  const char* kind;
  unsigned most_workers;
  unsigned least_workers;                 // there from the start, and kept; the others come as they are needed
  bool workers_start_processes;           // their tasks may
  std::chrono::nanoseconds idle_timeout;  // then they go again; 0: never
  std::string name;
  std::optional<StartMethod> method;
  SentCall initializer;
  std::uint64_t tasks_per_worker;
  std::chrono::nanoseconds limit;
  unsigned retries;
  std::size_t most_pending;
};

[[nodiscard]] std::shared_ptr<ProcessPoolCore> make_process_pool(ProcessPoolConfig config);
[[nodiscard]] unsigned usual_processes() noexcept;

/// As good as none, and far from where sums of times overflow.
inline constexpr std::chrono::nanoseconds kLongestLimit = std::chrono::hours{24 * 365 * 100};

[[nodiscard]] inline RemoteLimits limits_of(const ProcessPoolCore& pool, const TaskOptions& options) noexcept {
  const std::chrono::nanoseconds limit = options.timeout.value_or(pool.usual_limit());
  return {limit < kLongestLimit ? limit : kLongestLimit, options.retries.value_or(pool.usual_retries())};
}

}  // namespace weft::detail
