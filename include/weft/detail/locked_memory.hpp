#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <source_location>

#include <weft/base/deadline.hpp>
#include <weft/process/parcel.hpp>
#include <weft/process/rlock.hpp>
#include <weft/process/shared_memory.hpp>

namespace weft::process {

/// A Value or an Array without a lock of its own, as Python's lock=False.
struct NoLock {
  explicit NoLock() = default;
};
inline constexpr NoLock no_lock{};

namespace detail {

/// What Value and Array have in common: anonymous memory, and the lock that goes with it.
class LockedMemory {
 public:
  /// Those of the RLock, so that std::scoped_lock and std::unique_lock hold it for several steps.
  /// Throws InvalidStateError: made with no_lock.
  void lock() { get_lock().lock(); }
  [[nodiscard]] bool try_lock() { return get_lock().try_lock(); }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> timeout) {
    return get_lock().try_lock_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool try_lock_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return get_lock().try_lock_until(Deadline::at(point));
  }
  void unlock() { get_lock().unlock(); }

  [[nodiscard]] bool has_lock() const noexcept { return lock_.has_value(); }
  /// Throws InvalidStateError: made with no_lock.
  [[nodiscard]] RLock& get_lock() {
    if (!lock_) fail_without_lock();
    return *lock_;
  }

 protected:
  /// Zeros. Throws std::invalid_argument: more than any memory holds.
  LockedMemory(std::size_t count, std::size_t element_size, std::optional<RLock> lock);
  /// What was sent, if its elements are of that size.
  LockedMemory(Incoming& in, std::size_t element_size);
  LockedMemory(const LockedMemory&);
  LockedMemory& operator=(const LockedMemory&);
  ~LockedMemory();

  /// Held for one access, by who may already hold it. Without a lock: nothing.
  class Turn {
   public:
    explicit Turn(const LockedMemory& memory) : lock_{memory.lock_ ? &*memory.lock_ : nullptr} {
      if (lock_) lock_->lock();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      if (lock_) lock_->unlock();
    }

   private:
    RLock* lock_;
  };

  [[nodiscard]] std::byte* begin_of_memory() const noexcept { return memory_.data(); }

  [[nodiscard]] std::size_t count() const noexcept { return count_; }

  static void send(Outgoing& out, const LockedMemory& memory);

 private:
  [[noreturn]] static void fail_without_lock();

  std::size_t count_ = 0;
  std::size_t element_size_ = 0;
  SharedMemory memory_;
  mutable std::optional<RLock> lock_;  // a handle: who reads has to take it too
};

}  // namespace detail
}  // namespace weft::process
