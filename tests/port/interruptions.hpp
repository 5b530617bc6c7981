#pragma once

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid  // glibc does not name it
#endif

namespace weft::port {

/// While it lives, the calling thread gets a signal every millisecond whose handler restarts no system call.
class Interruptions {
 public:
  /// After `count` signals, one byte is written to `fd`: what a call that is repeated long enough will see.
  explicit Interruptions(int fd = -1, int count = 0) {
    fd_ = fd;
    left_ = count;
    struct sigaction action {};
    action.sa_handler = &Interruptions::handle;
    ::sigaction(kSignal, &action, &before_);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = kSignal;
    event.sigev_notify_thread_id = static_cast<pid_t>(::syscall(SYS_gettid));
    ::timer_create(CLOCK_MONOTONIC, &event, &timer_);
    const timespec period{0, 1'000'000};
    const itimerspec every{period, period};
    ::timer_settime(timer_, 0, &every, nullptr);
  }
  ~Interruptions() {
    ::timer_delete(timer_);
    ::sigaction(kSignal, &before_, nullptr);
  }
  Interruptions(const Interruptions&) = delete;
  Interruptions& operator=(const Interruptions&) = delete;

  [[nodiscard]] static int left() { return left_; }

 private:
  static constexpr int kSignal = SIGUSR1;

  static void handle(int) {
    const int error = errno;
    if (left_ > 0 && --left_ == 0) (void)!::write(fd_, "!", 1);
    errno = error;
  }

  static inline std::atomic<int> fd_{-1};
  static inline std::atomic<int> left_{0};
  timer_t timer_{};
  struct sigaction before_ {};
};

}  // namespace weft::port
