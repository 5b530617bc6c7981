#include <weft/detail/group_state.hpp>

#include <mutex>
#include <string>
#include <utility>

#include <weft/base/error.hpp>

namespace weft::detail {

namespace {

std::uint32_t checked_bound(std::uint32_t most) {
  if (most == 0 || most > Semaphore::max_value()) {
    throw Error{"a pool has room for 1 to " + std::to_string(Semaphore::max_value()) + " fibers, not " +
                std::to_string(most)};
  }
  return most;
}

}  // namespace

GroupState::GroupState() {
  empty_.set();
}
GroupState::GroupState(std::uint32_t most) : places_{std::in_place, checked_bound(most), "Pool"} {
  empty_.set();
}

bool GroupState::enter(Deadline deadline) {
  return !places_ || places_->try_acquire_until(deadline);
}

void GroupState::leave() noexcept {
  if (places_) places_->release();
}

std::size_t GroupState::free_count() const noexcept {
  return places_ ? places_->value() : SIZE_MAX;
}

// ---- members -------------------------------------------------------------------------------------------------------

void GroupState::add(Task& task) {
  const std::uint64_t id = task.id();
  try {
    const std::scoped_lock guard{lock_};
    const auto [member, is_new] = members_.try_emplace(id);
    if (!is_new) {
      leave();  // it has a place
      return;
    }
    task.retain();
    member->second.task.reset(&task);
    empty_.clear();
  } catch (...) {
    leave();
    throw;
  }
  try {
    // Of one that has ended the link is called here, and it is no member any more.
    const std::uint64_t link =
        task.link(LinkFor::AnyEnd, [self = shared_from_this()](Task& ended) { self->on_end(ended); });
    const std::scoped_lock guard{lock_};
    const auto member = members_.find(id);
    if (member != members_.end()) member->second.link = link;
  } catch (...) {
    (void)remove(id);
    throw;
  }
}

TaskRef GroupState::remove(std::uint64_t id, std::uint64_t* link) noexcept {
  TaskRef removed;
  {
    const std::scoped_lock guard{lock_};
    const auto member = members_.find(id);
    if (member == members_.end()) return nullptr;
    removed = std::move(member->second.task);
    if (link) *link = member->second.link;
    members_.erase(member);
    leave();  // first: whoever has joined the group finds all places free
    if (members_.empty()) empty_.set();
  }
  return removed;
}

bool GroupState::discard(const Task& task) noexcept {
  std::uint64_t link = 0;
  const TaskRef removed = remove(task.id(), &link);
  if (removed && link != 0) removed->unlink(link);
  return removed != nullptr;
}

// In the fiber that ends, before anybody who waits for it is let go: then it is no member any more, and its place is
// free.
void GroupState::on_end(Task& task) noexcept {
  if (!task.succeeded()) {
    const std::scoped_lock guard{lock_};
    for (Raiser* raiser = raisers_; raiser; raiser = raiser->next) {
      if (!raiser->first) raiser->first = task.failure();
      task.take_notice();
    }
  }
  (void)remove(task.id());
}

bool GroupState::contains(const Task& task) const {
  const std::scoped_lock guard{lock_};
  return members_.contains(task.id());
}

std::size_t GroupState::size() const {
  const std::scoped_lock guard{lock_};
  return members_.size();
}

std::vector<TaskRef> GroupState::all_but(std::uint64_t id) const {
  std::vector<TaskRef> tasks;
  const std::scoped_lock guard{lock_};
  tasks.reserve(members_.size());
  for (const auto& [member_id, member] : members_) {
    if (member_id == id) continue;
    member.task->retain();
    tasks.emplace_back(member.task.get());
  }
  return tasks;
}

// ---- their ends
// ------------------------------------------------------------------------------------------------------

bool GroupState::join_until(Deadline deadline) {
  // Others may add a member between the event and our waking up: it is to be waited for, too.
  while (size() != 0) {
    if (!empty_.wait_until(deadline)) return false;
  }
  return true;
}

bool GroupState::join_or_raise_until(Deadline deadline) {
  Raiser mine;
  {
    const std::scoped_lock guard{lock_};
    mine.next = std::exchange(raisers_, &mine);
  }
  struct Leave {
    GroupState& group;
    Raiser& mine;
    ~Leave() {
      const std::scoped_lock guard{group.lock_};
      Raiser** at = &group.raisers_;
      while (*at != &mine) at = &(*at)->next;
      *at = mine.next;
    }
  };
  bool all = false;
  {
    const Leave leave{*this, mine};
    all = join_until(deadline);
  }
  if (mine.first) std::rethrow_exception(std::exchange(mine.first, nullptr));
  return all;
}

void GroupState::kill() {
  for (const TaskRef& task : all_but(0)) task->kill();
}

bool GroupState::kill_and_join_until(Deadline deadline) {
  const std::uint64_t self = current_context_id();
  // What is killed may add members while it ends.
  for (;;) {
    const std::vector<TaskRef> others = all_but(self);
    for (const TaskRef& task : others) task->kill();
    if (others.empty()) break;
    for (const TaskRef& task : others) {
      if (!task->join_until(deadline)) return false;
    }
  }
  return true;
}

}  // namespace weft::detail
