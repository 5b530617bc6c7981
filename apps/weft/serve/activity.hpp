#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "weft/sync/lock.hpp"

namespace weft::app {

/// What a connection is doing, for the one who ends it: a drain tells idle ones to go and says what it cut.
///
/// Thread-safety: all methods; the connection writes, the drain reads.
class Activity {
 public:
  /// "upload of \"a.iso\""; `size` 0 when unknown.
  void begin(std::string what, std::uint64_t size = 0) {
    const std::lock_guard guard(lock_);
    what_ = std::move(what);
    size_ = size;
    moved_.store(0, std::memory_order_relaxed);
  }
  void end() {
    const std::lock_guard guard(lock_);
    what_.clear();
  }
  void set_moved(std::uint64_t bytes) { moved_.store(bytes, std::memory_order_relaxed); }

  /// "upload of \"a.iso\", 1.0 GiB of 4.0 GiB"; empty when idle.
  [[nodiscard]] std::string text() const;

 private:
  mutable Lock lock_;
  std::string what_;        // guarded by lock_
  std::uint64_t size_ = 0;  // guarded by lock_
  std::atomic<std::uint64_t> moved_{0};
};

/// Marks the connection as busy for as long as it lives.
class Busy {
 public:
  Busy(Activity& activity, std::string what, std::uint64_t size = 0) : activity_(activity) {
    activity.begin(std::move(what), size);
  }
  ~Busy() { activity_.end(); }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  Activity& activity_;
};

}  // namespace weft::app
