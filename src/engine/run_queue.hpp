#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/task.hpp>

#include "engine/spin_lock.hpp"

namespace weft::detail {

/// A chain of tasks linked by `next`.
struct TaskChain {
  Task* first = nullptr;
  Task* last = nullptr;
  std::uint32_t count = 0;

  void push_back(Task& task) noexcept {
    task.next = nullptr;
    (last ? last->next : first) = &task;
    last = &task;
    ++count;
  }
  Task* pop_front() noexcept {
    Task* task = first;
    if (task) {
      first = task->next;
      if (!first) last = nullptr;
      --count;
    }
    return task;
  }
};

/// The runnable fibers of one worker, in order. The owner pushes at the tail and pops at the head; thieves take from the
/// head. The shape is that of Go's per-processor queue (runtime/proc.go).
class RunRing {
 public:
  static constexpr std::uint32_t kCapacity = 256;

  /// `solo`: there are no thieves, so that popping needs no atomic read-modify-write.
  explicit RunRing(bool solo) : solo_{solo} {}

  /// Owner. False: full.
  bool push(Task* task) noexcept {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    // Acquire: a thief's reads of a slot, made before it advanced the head, are over before the slot is written again.
    if (tail - head_.load(std::memory_order_acquire) == kCapacity) return false;
    slots_[tail % kCapacity].store(task, std::memory_order_relaxed);
    // Release: a thief that sees the tail sees the slot, and all that the fiber did before it stopped.
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  /// Owner. Null: empty.
  Task* pop() noexcept {
    std::uint32_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      if (head == tail_.load(std::memory_order_relaxed)) return nullptr;
      Task* task = slots_[head % kCapacity].load(std::memory_order_relaxed);
      if (solo_) {
        head_.store(head + 1, std::memory_order_relaxed);
        return task;
      }
      // Release: see push(). Against thieves the compare-and-swap alone decides.
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel, std::memory_order_acquire)) return task;
    }
  }

  /// A thief, owner of `mine`, which is empty: moves half of this ring there. The last task is left alone unless
  /// `even_last`: its worker is about to run it, where its data is warm.
  std::uint32_t steal_into(RunRing& mine, bool even_last) noexcept {
    for (;;) {
      std::uint32_t head = head_.load(std::memory_order_acquire);
      const std::uint32_t tail = tail_.load(std::memory_order_acquire);
      const std::uint32_t available = tail - head;
      if (available > kCapacity) continue;  // head and tail were read from different moments
      const std::uint32_t count = even_last ? available - available / 2 : available / 2;
      if (count == 0) return 0;
      const std::uint32_t to = mine.tail_.load(std::memory_order_relaxed);
      for (std::uint32_t i = 0; i < count; ++i) {
        mine.slots_[(to + i) % kCapacity].store(slots_[(head + i) % kCapacity].load(std::memory_order_relaxed),
                                                std::memory_order_relaxed);
      }
      if (head_.compare_exchange_strong(head, head + count, std::memory_order_acq_rel, std::memory_order_relaxed)) {
        mine.tail_.store(to + count, std::memory_order_release);
        return count;
      }
    }
  }

  /// Exact for the owner, a moment's truth for others.
  [[nodiscard]] std::uint32_t size() const noexcept {
    const std::uint32_t tail = tail_.load(std::memory_order_acquire);
    const std::uint32_t count = tail - head_.load(std::memory_order_acquire);
    return count > kCapacity ? 0 : count;
  }

 private:
  alignas(64) std::atomic<std::uint32_t> head_{0};
  alignas(64) std::atomic<std::uint32_t> tail_{0};
  const bool solo_;
  std::atomic<Task*> slots_[kCapacity] = {};
};

/// What others hand in to one worker, which takes all of it at once.
class Inbox {
 public:
  /// Anybody. True: it was empty.
  bool push(Task& task) noexcept {
    Task* newest = newest_.load(std::memory_order_relaxed);
    do {
      task.next = newest;
      // Release: the owner sees the link, and all that was done before the task was handed in.
    } while (!newest_.compare_exchange_weak(newest, &task, std::memory_order_acq_rel, std::memory_order_relaxed));
    return newest == nullptr;
  }

  /// The owner: appends all, oldest first.
  void move_to(TaskChain& chain) noexcept {
    if (empty()) return;
    Task* oldest = nullptr;
    for (Task* task = newest_.exchange(nullptr, std::memory_order_acq_rel); task;) {
      Task* older = task->next;
      task->next = oldest;
      oldest = task;
      task = older;
    }
    while (oldest) {
      Task* next = oldest->next;
      chain.push_back(*oldest);
      oldest = next;
    }
  }

  [[nodiscard]] bool empty() const noexcept { return newest_.load(std::memory_order_relaxed) == nullptr; }

 private:
  std::atomic<Task*> newest_{nullptr};
};

/// The queue all workers share: what other threads hand in, and what a full ring sheds.
/// No std::lock_guard here: its code would be shared with instrumented callers (spin_lock.hpp).
class GlobalQueue {
 public:
  void push(TaskChain chain) noexcept {
    if (!chain.first) return;
    lock_.lock();
    (tasks_.last ? tasks_.last->next : tasks_.first) = chain.first;
    tasks_.last = chain.last;
    tasks_.count += chain.count;
    size_.store(tasks_.count, std::memory_order_relaxed);
    lock_.unlock();
  }

  /// At most `most` tasks, oldest first.
  TaskChain pop(std::uint32_t most) noexcept {
    TaskChain taken;
    if (size() == 0) return taken;
    lock_.lock();
    while (taken.count < most) {
      Task* task = tasks_.pop_front();
      if (!task) break;
      taken.push_back(*task);
    }
    size_.store(tasks_.count, std::memory_order_relaxed);
    lock_.unlock();
    return taken;
  }

  [[nodiscard]] std::uint32_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

 private:
  SpinLock lock_;
  TaskChain tasks_;
  std::atomic<std::uint32_t> size_{0};
};

}  // namespace weft::detail
