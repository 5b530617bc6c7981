#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/detail/pool_core.hpp>
#include <weft/futures/future.hpp>

namespace weft {

/// Several failures at once. what() has a line for each.
class ExceptionGroup : public Error {
 public:
  ExceptionGroup(const std::string& what, std::vector<std::exception_ptr> all);

  /// In the order of their coming; at least one.
  [[nodiscard]] const std::vector<std::exception_ptr>& exceptions() const noexcept { return exceptions_; }

 private:
  std::vector<std::exception_ptr> exceptions_;
};

/// Work that is done at the same time, and is over when the group is: no child outlives it.
///
///     weft::TaskGroup group;
///     weft::Future<int> left = group.spawn(count, "left");
///     group.spawn(draw);
///     group.wait();                  // all have ended; throws ExceptionGroup if one failed
///     use(left.get());
///
/// Semantics:     after Python asyncio.TaskGroup. The first failure calls off the others, as kill() does, and wait() throws an
///                ExceptionGroup with that and whatever failed besides, even if it was one alone; being cancelled is no failure. A
///                kill, or the end of a scope, that reaches wait() goes on to the children; they have ended when the group has.
///                The children are fibers of the runtime that the maker belongs to, or of the default one.
/// Destructor:    waits, too; if an exception unwinds, or wait() was never called and a child has failed, the others are called
///                off. What failed and was not thrown by wait() is reported on stderr.
/// Thread-safety: spawn() from anywhere, children included, until wait() returns; the rest by one caller.
/// Blocking:      wait() and the destructor park the fiber, or the thread when called outside one.
/// Cost:          that of spawn() and of the result.
class TaskGroup {
 public:
  TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();

  /// Runs callable(args...), copies of which are kept, as a fiber. Throws: ShutDown when the group is over, or called off.
  template <class F, class... Args>
  auto spawn(F&& callable, Args&&... args) {
    auto* job = detail::make_job(std::forward<F>(callable), std::forward<Args>(args)...);
    auto future = detail::FutureAccess::adopt(*job);
    add(*job);
    return future;
  }

  /// Waits for all children, those too that are spawned meanwhile. The group is over then.
  void wait();
  /// Calls off all children; wait() waits for their end, and throws only what failed in another way.
  void cancel() noexcept;

 private:
  class Children;

  void add(detail::FutureState& job);
  void report_failures() noexcept;

  std::shared_ptr<Children> children_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace weft
