#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "weft/base/deadline.hpp"

namespace weft::app {

/// Tells a slow peer from a dead or malicious one: so many bytes must move in every window of time.
///
/// Only time spent waiting for the peer counts: what happens between enter() calls (a slow disk of ours) does not.
/// Thread-safety: none; one Pace a transfer.
class Pace {
 public:
  struct Limit {
    std::uint64_t bytes_per_second = 1024;  // 0: only a window without any byte is too slow
    Duration window = std::chrono::seconds(30);
  };

  explicit Pace(const Limit& limit)
      : limit_(limit), left_at_(Clock::now()), window_end_(left_at_ + limit.window) {}

  /// The caller begins to wait for the peer.
  void enter() { window_end_ += Clock::now() - left_at_; }
  /// The caller does something else.
  void leave() { left_at_ = Clock::now(); }
  /// Until when the next wait may last; then call check().
  [[nodiscard]] Deadline deadline() const { return Deadline::at(window_end_); }
  void moved(std::uint64_t bytes) { window_bytes_ += bytes; }
  /// Whether enough moved in the windows that have ended; begins the next one.
  [[nodiscard]] bool is_fast_enough() {
    if (Clock::now() < window_end_) return true;
    const double seconds = std::chrono::duration<double>(limit_.window).count();
    const double wanted = std::max(1.0, static_cast<double>(limit_.bytes_per_second) * seconds);
    const bool fast_enough = static_cast<double>(window_bytes_) >= wanted;
    window_bytes_ = 0;
    window_end_ = Clock::now() + limit_.window;
    return fast_enough;
  }
  [[nodiscard]] const Limit& limit() const { return limit_; }

 private:
  Limit limit_;
  Clock::time_point left_at_;
  Clock::time_point window_end_;
  std::uint64_t window_bytes_ = 0;
};

}  // namespace weft::app
