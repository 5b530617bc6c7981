#pragma once

#include <condition_variable>
#include <mutex>

#include "support/eventually.hpp"

namespace weft::test {

/// What a blocked thread waits for: nothing of weft's, as in a C library that knows of no fibers.
class Gate {
 public:
  void open() {
    const std::lock_guard guard{lock_};
    open_ = true;
    opened_.notify_all();
  }
  /// False: it was not opened in time.
  [[nodiscard]] bool wait() {
    std::unique_lock guard{lock_};
    return opened_.wait_for(guard, kPatience, [this] { return open_; });
  }

 private:
  std::mutex lock_;
  std::condition_variable opened_;
  bool open_ = false;  // guarded by lock_
};

}  // namespace weft::test
