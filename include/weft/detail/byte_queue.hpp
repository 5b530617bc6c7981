#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <weft/base/deadline.hpp>
#include <weft/base/label.hpp>
#include <weft/base/owned_fd.hpp>
#include <weft/detail/patience.hpp>

namespace weft::process::detail {

class QueueMemory;
struct QueueControl;
struct QueueSignal;
struct SharedWaiter;

/// Where a string that is got goes: to the room it is given, which the caller keeps, or to the heap if it needs more.
class ItemRoom {
 public:
  explicit ItemRoom(std::span<std::byte> room) noexcept : room_{room} {}
  ItemRoom(const ItemRoom&) = delete;
  ItemRoom& operator=(const ItemRoom&) = delete;

  [[nodiscard]] std::span<std::byte> room() const noexcept { return room_; }
  void enlarge(std::size_t size);
  void set_size(std::size_t size) noexcept { size_ = size; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return room_.first(size_); }

 private:
  std::span<std::byte> room_;
  std::unique_ptr<std::byte[]> heap_;
  std::size_t size_ = 0;
};

/// A queue of byte strings between processes: this process's part of it. For its promises see process::Queue.
class ByteQueue {
 public:
  enum class MayWait : bool { No, Yes };

  ByteQueue(std::size_t maxsize, std::uint64_t type, Label label);
  /// That of another process.
  ByteQueue(OwnedFd file, std::uint64_t type);
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;
  ~ByteQueue();

  /// False: no room, now or in time. Throws: ShutDown.
  [[nodiscard]] bool put(std::span<const std::byte> bytes, Deadline deadline, MayWait may_wait);
  /// False: no string, now or in time, or none will come.
  [[nodiscard]] bool get(ItemRoom& item, Deadline deadline, MayWait may_wait);

  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::size_t maxsize() const noexcept;
  [[nodiscard]] const char* name() const noexcept { return label_.name(); }
  [[nodiscard]] int file() const noexcept;

  // For select(), a step at a time.
  enum class Attempt : std::uint8_t { Done, MustWait, Ended, TooLate };
  [[nodiscard]] Attempt try_put(std::span<const std::byte> bytes, Deadline deadline, MayWait may_wait);
  [[nodiscard]] Attempt try_get(ItemRoom& item, Deadline deadline, MayWait may_wait);
  /// The caller is about to sleep until there may be an item, or room: what is to change. False: it may be there.
  [[nodiscard]] bool expect_item(SharedWaiter& waiter) noexcept;
  [[nodiscard]] bool expect_room(SharedWaiter& waiter) noexcept;
  /// He takes nothing. `told`: the change came.
  void leave_items(bool told) noexcept;
  void leave_room(bool told) noexcept;

  /// From the beginning on: who takes what is noted, for join().
  void count_tasks() noexcept;
  void task_done();
  /// False: not in time. Throws: TasksLost.
  [[nodiscard]] bool join(Deadline deadline);
  void shutdown(bool immediate) noexcept;
  [[nodiscard]] bool is_shut_down() const noexcept;

  /// For tests.
  [[nodiscard]] QueueMemory& memory() noexcept { return *memory_; }

 private:
  using Holds = bool (*)(const QueueControl&) noexcept;
  class Held;
  class Passing;

  [[nodiscard]] bool put_slowly(std::span<const std::byte> bytes, Deadline deadline);
  [[nodiscard]] bool get_slowly(ItemRoom& item, Deadline deadline);
  [[nodiscard]] bool wait(QueueSignal& signal, Holds holds, Deadline deadline) { return wait(signal, holds, holds, deadline); }
  /// `seen`: the same, as a Look finds it.
  [[nodiscard]] bool wait(QueueSignal& signal, Holds holds, Holds seen, Deadline deadline);
  [[noreturn]] void fail_lost_tasks() const;

  std::unique_ptr<QueueMemory> memory_;
  QueueControl& control_;
  Label label_;
  weft::detail::Patience getters_patience_;
  weft::detail::Patience putters_patience_;
};

}  // namespace weft::process::detail
