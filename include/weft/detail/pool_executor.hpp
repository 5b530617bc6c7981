#pragma once

// What the executors of a pool, of threads or of fibers, offer alike. Headers of weft only.

#include <cstddef>
#include <exception>
#include <memory>
#include <utility>

#include <weft/detail/pool_core.hpp>
#include <weft/futures/executor.hpp>

namespace weft::detail {

template <class Derived>
class PoolExecutor : public Mapping<Derived> {
 public:
  PoolExecutor(const PoolExecutor&) = delete;
  PoolExecutor& operator=(const PoolExecutor&) = delete;

  /// A Future of callable(args...), copies of which are kept until it ends; std::ref(x) to share x.
  /// Throws: ShutDown after shutdown(); BrokenExecutor; OSError when there is no thread and none can be made.
  template <class F, class... Args>
  auto submit(F&& callable, Args&&... args) {
    auto* job = make_job(std::forward<F>(callable), std::forward<Args>(args)...);
    auto future = FutureAccess::adopt(*job);
    core_->submit(*job);
    return future;
  }

  /// Again: no effect but to wait. Futures keep their results.
  void shutdown(Shutdown how = {}) { core_->shutdown(how.wait, how.cancel_pending); }

  /// Threads made so far, or fibers at work.
  [[nodiscard]] std::size_t workers() const noexcept { return core_->workers(); }

 protected:
  explicit PoolExecutor(std::shared_ptr<PoolCore> core) noexcept : core_{std::move(core)} {}
  ~PoolExecutor() { end_pool(*core_, exceptions_); }

 private:
  std::shared_ptr<PoolCore> core_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace weft::detail
