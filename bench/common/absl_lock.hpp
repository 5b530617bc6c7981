// absl::Mutex by the names that std::lock_guard wants.
#pragma once

#include <absl/synchronization/mutex.h>

namespace bench {

class AbslLock {
 public:
  void lock() { mutex_.Lock(); }
  void unlock() { mutex_.Unlock(); }

 private:
  absl::Mutex mutex_;
};

}  // namespace bench
