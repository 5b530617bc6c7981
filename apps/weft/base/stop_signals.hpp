#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace weft::app {

/// SIGINT and SIGTERM as calls of a function, on a thread of its own, so that it may use locks and events.
///
/// Make one before any other thread exists: it blocks the two signals for the whole process.
class StopSignals {
 public:
  /// `on_signal` is called with 1 at the first signal, 2 at the second, and so on.
  explicit StopSignals(std::function<void(int count)> on_signal);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  std::function<void(int)> on_signal_;
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

/// Blocks the signals that StopSignals receives; for the top of main(), before threads are made.
void block_stop_signals();

}  // namespace weft::app
