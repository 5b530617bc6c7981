#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "weft/sync/condition.hpp"
#include "weft/sync/lock.hpp"

namespace weft::app {

/// What is still to be transferred: one context adds, several take, and what failed on the way may come back.
///
/// Thread-safety: all methods, from any thread or fiber.
template <class Item>
class WorkList {
 public:
  /// Waits while a great many are there already, so that memory does not grow with the number of files.
  void add(Item item) {
    std::unique_lock guard(lock_);
    changed_.wait(guard, [&] { return items_.size() < kMaxItems || is_stopped_; });
    items_.push_back(std::move(item));
    changed_.notify_all();
  }
  void finish_adding() {
    const std::lock_guard guard(lock_);
    is_complete_ = true;
    changed_.notify_all();
  }
  /// For another try, before everything else.
  void put_back(Item item) {
    const std::lock_guard guard(lock_);
    items_.push_front(std::move(item));
    changed_.notify_all();
  }

  /// The next item, and after it more as long as `fits` (asked with what is taken and the next) says so. Waits for the
  /// first only. Empty: nothing is left (more may yet come back), or stop().
  template <class Fits>
  [[nodiscard]] std::vector<Item> take(Fits fits, bool may_wait = true) {
    std::unique_lock guard(lock_);
    if (may_wait) changed_.wait(guard, [&] { return !items_.empty() || is_complete_ || is_stopped_; });
    std::vector<Item> taken;
    while (!is_stopped_ && !items_.empty() &&
           (taken.empty() ? fits_first(fits) : fits(taken, items_.front()))) {
      taken.push_back(std::move(items_.front()));
      items_.pop_front();
    }
    if (!taken.empty()) changed_.notify_all();
    return taken;
  }

  /// Nothing is given out any more.
  void stop() {
    const std::lock_guard guard(lock_);
    is_stopped_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] bool is_stopped() const {
    const std::lock_guard guard(lock_);
    return is_stopped_;
  }
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard guard(lock_);
    return items_.size();
  }
  /// What nobody took.
  [[nodiscard]] std::deque<Item> take_rest() {
    const std::lock_guard guard(lock_);
    return std::exchange(items_, {});
  }

 private:
  static constexpr std::size_t kMaxItems = 4096;

  template <class Fits>
  bool fits_first(Fits& fits) {
    return fits(std::vector<Item>{}, items_.front());
  }

  mutable Lock lock_;
  Condition changed_;
  std::deque<Item> items_;  // guarded by lock_, as all below
  bool is_complete_ = false;
  bool is_stopped_ = false;
};

}  // namespace weft::app
