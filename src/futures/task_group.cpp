#include <weft/futures/task_group.hpp>

#include <cstdio>
#include <mutex>
#include <string>
#include <utility>

#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/scope.hpp>

#include "base/cause.hpp"

namespace weft {

using detail::FutureState;

namespace {

std::string text_of(const std::string& what, const std::vector<std::exception_ptr>& all) {
  std::string text = what + ": " + std::to_string(all.size()) + (all.size() == 1 ? " failure" : " failures");
  for (const std::exception_ptr& failure : all) text += "\n  " + detail::cause_of(failure);
  return text;
}

}  // namespace

ExceptionGroup::ExceptionGroup(const std::string& what, std::vector<std::exception_ptr> all)
    : Error{text_of(what, all)}, exceptions_{std::move(all)} {}

/// What the group and the hooks of its children share: the last hook may still be inside when the group goes.
///
/// The lock is held for a few instructions, in which no other is taken.
class TaskGroup::Children : public std::enable_shared_from_this<Children> {
 public:
  Children()
      : pool_{detail::make_fiber_pool(
            {.kind = "TaskGroup", .most_workers = 0, .most_pending = 0, .name = {}, .initializer = {}}, nullptr)} {
    all_ended_.set();
  }

  void add(FutureState& job) {
    std::unique_ptr<Child> child;
    try {
      child = std::make_unique<Child>(shared_from_this(), job);
      enlist(*child);
    } catch (...) {
      job.release();
      throw;
    }
    job.link(*child.release());
    job.retain();
    const Release release{job};
    try {
      pool_->submit(job);
    } catch (...) {
      (void)job.cancel();  // and the child is told
      throw;
    }
  }

  void call_off() noexcept {
    // What ends by this is told in here, or lets go of its future elsewhere: without the lock, with references.
    for (FutureState* child : mark_called_off()) {
      child->kill();
      child->release();
    }
  }

  /// For one after the other, so that the search for deadlocks knows for whom; then for the last hook.
  void wait_for_all() {
    while (FutureState* child = one_that_is_not_done()) {
      const Release release{*child};
      (void)child->wait_until(Deadline::never());
    }
    all_ended_.wait();
  }

  /// False: one was added in the meantime.
  [[nodiscard]] bool close() noexcept {
    const std::lock_guard guard{lock_};
    over_ = first_ == nullptr;
    return over_;
  }

  [[nodiscard]] std::vector<std::exception_ptr> take_failures() noexcept {
    const std::lock_guard guard{lock_};
    return std::move(failures_);
  }

 private:
  struct Release {
    FutureState& future;
    ~Release() { future.release(); }
  };

  struct Child final : detail::DoneHook {
    Child(std::shared_ptr<Children> of, FutureState& job) : group{std::move(of)}, future{job} { job.retain(); }
    ~Child() { future.release(); }
    void on_done(FutureState&) noexcept override {
      const std::shared_ptr<Children> keep = group;
      const std::unique_ptr<Child> self{this};
      keep->end(*this);
    }

    const std::shared_ptr<Children> group;
    FutureState& future;
    Child* next_child = nullptr;
    Child* previous = nullptr;
  };

  void enlist(Child& child) {
    const std::lock_guard guard{lock_};
    if (over_ || called_off_) throw ShutDown{"spawn in a TaskGroup that is over, or has been called off"};
    child.next_child = first_;
    if (first_) first_->previous = &child;
    first_ = &child;
    all_ended_.clear();
  }

  void end(Child& child) noexcept {
    const bool failed = child.future.failed();
    bool calls_off = false;
    {
      const std::lock_guard guard{lock_};
      (child.previous ? child.previous->next_child : first_) = child.next_child;
      if (child.next_child) child.next_child->previous = child.previous;
      if (failed) failures_.push_back(child.future.failure());
      calls_off = failed && !std::exchange(called_off_, true);
      if (!first_) all_ended_.set();
    }
    if (calls_off) call_off();
  }

  [[nodiscard]] std::vector<FutureState*> mark_called_off() {
    std::vector<FutureState*> children;
    const std::lock_guard guard{lock_};
    called_off_ = true;
    for (Child* child = first_; child; child = child->next_child) {
      child->future.retain();
      children.push_back(&child->future);
    }
    return children;
  }

  [[nodiscard]] FutureState* one_that_is_not_done() {
    const std::lock_guard guard{lock_};
    for (Child* child = first_; child; child = child->next_child) {
      if (child->future.done()) continue;
      child->future.retain();
      return &child->future;
    }
    return nullptr;
  }

  const std::shared_ptr<detail::PoolCore> pool_;
  Lock lock_{"children of a TaskGroup"};
  Child* first_ = nullptr;  // this and the next three: guarded by lock_
  std::vector<std::exception_ptr> failures_;
  bool called_off_ = false;
  bool over_ = false;
  Event all_ended_{"the children of a TaskGroup"};
};

TaskGroup::TaskGroup() : children_{std::make_shared<Children>()} {}

TaskGroup::~TaskGroup() {
  const Shield shield;
  if (std::uncaught_exceptions() > exceptions_) children_->call_off();
  do {
    children_->wait_for_all();
  } while (!children_->close());
  report_failures();
}

void TaskGroup::add(FutureState& job) { children_->add(job); }
void TaskGroup::cancel() noexcept { children_->call_off(); }

void TaskGroup::wait() {
  try {
    do {
      children_->wait_for_all();
    } while (!children_->close());
  } catch (...) {
    children_->call_off();
    throw;  // the destructor waits
  }
  if (auto failures = children_->take_failures(); !failures.empty()) {
    throw ExceptionGroup{"a TaskGroup ended", std::move(failures)};
  }
}

void TaskGroup::report_failures() noexcept {
  for (const std::exception_ptr& failure : children_->take_failures()) {
    std::fprintf(stderr, "weft: a child of a TaskGroup failed, and nobody waited for it: %s\n", detail::cause_of(failure).c_str());
  }
}

}  // namespace weft
