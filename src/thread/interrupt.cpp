#include <weft/thread/interrupt.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include <weft/detail/context.hpp>

#include "engine/thread_context.hpp"
#include "port/signals.hpp"

namespace weft {

namespace {

// What the handler may touch: it runs anywhere, in the middle of anything.
std::atomic<bool> in_use{false};
std::atomic<int> event{-1};
std::atomic<pid_t> owner{0};
std::atomic<int> came{0};

void on_signal(int signal) {
  const int error = errno;
  if (owner.load(std::memory_order_relaxed) != ::getpid()) {
    // A child of fork(): nobody watches here. The handler was reset as it was called.
    ::raise(signal);
  } else {
    int none = 0;
    // Another one has come before; the handler of this one was reset as it was called.
    if (!came.compare_exchange_strong(none, signal, std::memory_order_relaxed)) ::raise(signal);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(event.load(std::memory_order_relaxed), &one, sizeof one);
  }
  errno = error;
}

// Made once and kept: a handler on another thread may still be about to use it when the scope is gone. A child of fork() would wake
// its parent by it, and makes another.
int own_event() {
  if (owner.load(std::memory_order_relaxed) != ::getpid()) {
    const int fd = ::eventfd(0, EFD_CLOEXEC);
    if (fd < 0) throw OSError{errno, "make an eventfd for", "an InterruptScope"};
    event.store(fd, std::memory_order_relaxed);
    owner.store(::getpid(), std::memory_order_relaxed);
  }
  return event.load(std::memory_order_relaxed);
}

}  // namespace

/// The handlers, and the thread that does what a handler may not: it stops the scope.
class InterruptScope::Watch {
 public:
  explicit Watch(std::initializer_list<int> signals) : context_{detail::current_context()} {
    const int fd = own_event();
    came.store(0, std::memory_order_relaxed);
    {
      const port::SignalsBlocked blocked;  // inherited: the thread takes none
      thread_ = std::thread{[this, fd] { watch(fd); }};
    }
    for (const int signal : signals) {
      struct sigaction action {};
      action.sa_handler = &on_signal;
      action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
      sigemptyset(&action.sa_mask);
      struct sigaction before {};
      if (::sigaction(signal, &action, &before) == 0) before_.push_back({signal, before});
    }
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  ~Watch() { (void)end(); }

  int end() noexcept {
    if (std::exchange(ended_, true)) return 0;
    for (const Before& one : before_) ::sigaction(one.signal, &one.action, nullptr);
    end_thread();
    // From here on no signal comes here, and the thread has done what it does for one.
    const bool heard = context_.interrupted_by.load(std::memory_order_relaxed) < 0;
    if (stopped_) {
      context_.interrupted_by.store(0, std::memory_order_relaxed);
      detail::forget_stopped_scope(context_);
    }
    return heard ? 0 : came.load(std::memory_order_relaxed);
  }

 private:
  void end_thread() noexcept {
    if (process_ != detail::this_process()) {
      thread_.detach();  // a child of fork(), which has no such thread
      return;
    }
    ending_.store(true, std::memory_order_relaxed);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(event.load(std::memory_order_relaxed), &one, sizeof one);
    thread_.join();
  }

  struct Before {
    int signal;
    struct sigaction action;
  };

  void watch(int fd) {
    detail::mark_engine_thread();
    std::uint64_t count = 0;
    while (!ending_.load(std::memory_order_relaxed)) {
      if (::read(fd, &count, sizeof count) < 0 && errno != EINTR) return;
      if (came.load(std::memory_order_relaxed) == 0 || stopped_ || ending_.load(std::memory_order_relaxed)) continue;
      stopped_ = true;
      context_.interrupted_by.store(came.load(std::memory_order_relaxed), std::memory_order_relaxed);
      detail::stop_scope(context_);
    }
  }

  detail::Context& context_;
  const std::uint32_t process_ = detail::this_process();
  std::vector<Before> before_;
  std::thread thread_;
  std::atomic<bool> ending_{false};
  bool ended_ = false;
  bool stopped_ = false;  // the thread's, until it has been joined
};

InterruptScope::InterruptScope(std::initializer_list<int> signals) {
  if (in_use.exchange(true, std::memory_order_acquire)) {
    throw InvalidStateError{"a process can have one InterruptScope at a time"};
  }
  try {
    watch_ = std::make_unique<Watch>(signals);
  } catch (...) {
    in_use.store(false, std::memory_order_release);
    throw;
  }
}

InterruptScope::~InterruptScope() {
  watch_.reset();
  in_use.store(false, std::memory_order_release);
}

int InterruptScope::signal() const noexcept { return came.load(std::memory_order_relaxed); }
int InterruptScope::end() noexcept { return watch_->end(); }

void end_by_signal(int signal) {
  ::signal(signal, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  ::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  ::_exit(128 + signal);
}

}  // namespace weft
