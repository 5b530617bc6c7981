#include "base/stop_signals.hpp"

#include <pthread.h>

#include <csignal>

namespace weft::app {

namespace {

// SIGUSR1 wakes the thread at the end; sigwait(3) has no other way out.
sigset_t waited_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1);
  return set;
}

}  // namespace

void block_stop_signals() {
  const sigset_t set = waited_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

StopSignals::StopSignals(std::function<void(int)> on_signal) : on_signal_(std::move(on_signal)) {
  block_stop_signals();
  thread_ = std::thread([this] {
    const sigset_t set = waited_signals();
    for (int count = 0;;) {
      int signal = 0;
      if (sigwait(&set, &signal) != 0) continue;
      if (is_over_.load()) return;
      if (signal != SIGUSR1) on_signal_(++count);
    }
  });
}

StopSignals::~StopSignals() {
  is_over_.store(true);
  pthread_kill(thread_.native_handle(), SIGUSR1);
  thread_.join();
}

}  // namespace weft::app
