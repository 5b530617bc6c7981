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
  /// Where it belongs by the order of its coming; which is soon found, when only older ones are put back.
  void put_back(RemoteTask& task) noexcept {
    RemoteTask* next = first_;
    while (next && next->order < task.order) next = next->next;
    task.next = next;
    task.previous = next ? next->previous : last_;
    (task.previous ? task.previous->next : first_) = &task;
    (next ? next->previous : last_) = &task;
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

/// The same for what is to be called.
class HookLine {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  void push_back(DoneHook& hook) noexcept {
    hook.next = nullptr;
    (first_ ? last_->next : first_) = &hook;
    last_ = &hook;
  }
  DoneHook* pop_front() noexcept {
    DoneHook* hook = first_;
    if (hook) first_ = hook->next;
    return hook;
  }

 private:
  DoneHook* first_ = nullptr;
  DoneHook* last_ = nullptr;
};

}  // namespace weft::detail
