#pragma once

#include <functional>
#include <string>

#include "base/stop_signals.hpp"
#include "weft/sync/event.hpp"

namespace weft::app {

/// Ctrl-C during a transfer: first asks it to stop, and ends the program itself when that takes long (a look-up or a
/// disk that hangs) or when Ctrl-C comes again.
class InterruptGuard {
 public:
  /// `stop` is called at the first signal; `farewell` is what to tell the user if it has to end here.
  InterruptGuard(std::function<void()> stop, std::string farewell);
  ~InterruptGuard();

 private:
  std::function<void()> stop_;
  std::string farewell_;
  Event is_over_;
  StopSignals signals_;
};

}  // namespace weft::app
