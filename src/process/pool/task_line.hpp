#pragma once

#include <cstddef>

#include <weft/detail/remote_task.hpp>

namespace weft::detail {

/// Tasks one behind the other, linked by themselves.
class TaskLine {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] RemoteTask* front() const noexcept { return first_; }

  void push_back(RemoteTask& task) noexcept {
    task.next = nullptr;
    task.previous = last_;
    (last_ ? last_->next : first_) = &task;
    last_ = &task;
  }
  void push_front(RemoteTask& task) noexcept {
    task.previous = nullptr;
    task.next = first_;
    (first_ ? first_->previous : last_) = &task;
    first_ = &task;
  }
  void remove(RemoteTask& task) noexcept {
    (task.previous ? task.previous->next : first_) = task.next;
    (task.next ? task.next->previous : last_) = task.previous;
    task.next = task.previous = nullptr;
  }
  RemoteTask* pop_front() noexcept {
    RemoteTask* task = first_;
    if (task) remove(*task);
    return task;
  }

 private:
  RemoteTask* first_ = nullptr;
  RemoteTask* last_ = nullptr;
};

}  // namespace weft::detail
