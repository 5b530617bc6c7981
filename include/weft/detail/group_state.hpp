#pragma once

// What a Group is behind its handle. It lives as long as the Group and any of its members. Headers of weft only.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/detail/task.hpp>
#include <weft/fiber/fiber.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/semaphore.hpp>

namespace weft::detail {

struct ReleaseTask {
  void operator()(Task* task) const noexcept { task->release(); }
};
/// A reference to a task.
using TaskRef = std::unique_ptr<Task, ReleaseTask>;

class GroupState : public std::enable_shared_from_this<GroupState> {
 public:
  /// Without a bound.
  GroupState();
  /// Throws: Error for a bound of none, or one that a semaphore cannot count to.
  explicit GroupState(std::uint32_t most);

  /// Waits for a place, which is the caller's until add() or leave(). False: there was none in time.
  [[nodiscard]] bool enter(Deadline deadline);
  void leave() noexcept;
  /// Uses the place that enter() gave. What throws here gives it back.
  void add(Task& task);
  /// False: it is no member.
  bool discard(const Task& task) noexcept;
  [[nodiscard]] bool contains(const Task& task) const;
  [[nodiscard]] std::size_t size() const;
  /// SIZE_MAX: there is no bound.
  [[nodiscard]] std::size_t free_count() const noexcept;

  /// Waits until there are no members. False: there are, after so long.
  [[nodiscard]] bool join_until(Deadline deadline);
  /// The same; afterwards throws the first failure that came meanwhile.
  [[nodiscard]] bool join_or_raise_until(Deadline deadline);
  void kill();
  /// Kills until there are no members, the caller excepted.
  [[nodiscard]] bool kill_and_join_until(Deadline deadline);

 private:
  struct Member {
    TaskRef task;
    std::uint64_t link = 0;
  };
  /// Someone who waits for failures.
  struct Raiser {
    std::exception_ptr first;
    Raiser* next = nullptr;
  };

  void on_end(Task& task) noexcept;
  /// Null: it was no member.
  [[nodiscard]] TaskRef remove(std::uint64_t id, std::uint64_t* link = nullptr) noexcept;
  [[nodiscard]] std::vector<TaskRef> all_but(std::uint64_t id) const;

  mutable Lock lock_{"Group"};
  std::map<std::uint64_t, Member> members_;  // by id; guarded by lock_
  Raiser* raisers_ = nullptr;                // guarded by lock_
  Event empty_{"Group"};                     // set while there are no members; changed under lock_
  std::optional<Semaphore> places_;
};

/// Starts, as a member of `group`, when it has a place, the task that make() gives, after prepare(its handle). If it
/// has to be a member of another group, too, that one has no bound.
template <class Make, class Prepare>
auto start_in(GroupState& group, GroupState* other, Make make, Prepare prepare) {
  struct Place {
    GroupState* entered;
    ~Place() {
      if (entered) entered->leave();
    }
  };
  (void)group.enter(Deadline::never());
  Place place{&group};
  Scheduler& scheduler = current_scheduler();
  auto* const task = make();
  Fiber handle{*task};
  TaskRef engines{task};
  prepare(handle);
  place.entered = nullptr;  // add() uses it, or gives it back
  group.add(*task);
  try {
    if (other) other->add(*task);
  } catch (...) {
    group.discard(*task);
    throw;
  }
  (void)engines.release();
  submit(scheduler, *task);
  return handle;
}

}  // namespace weft::detail
