#include "port/signals.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

namespace weft::port {
namespace {

sigset_t current_mask() {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return mask;
}
bool is_blocked(int signal) {
  const sigset_t mask = current_mask();
  return ::sigismember(&mask, signal) == 1;
}

TEST(SignalsBlocked, BlocksAllWhileItLives) {
  const SignalsBlocked blocked;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE, SIGALRM, SIGUSR1, SIGRTMIN, SIGRTMAX}) {
    EXPECT_TRUE(is_blocked(signal)) << signal;
  }
}

TEST(SignalsBlocked, LeavesTheMaskAsItFoundIt) {
  sigset_t mask;
  ::sigemptyset(&mask);
  ::sigaddset(&mask, SIGUSR2);
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, &mask, &before);
  {
    const SignalsBlocked blocked;
    {
      const SignalsBlocked again;
    }
    EXPECT_TRUE(is_blocked(SIGUSR1));
  }
  EXPECT_FALSE(is_blocked(SIGUSR1));
  EXPECT_TRUE(is_blocked(SIGUSR2));
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(SignalsBlocked, ThreadsMadeMeanwhileHaveThemBlockedForGood) {
  bool blocked_there = false;
  std::thread thread;
  {
    const SignalsBlocked blocked;
    thread = std::thread{[&] { blocked_there = is_blocked(SIGINT) && is_blocked(SIGUSR1); }};
  }
  thread.join();
  EXPECT_TRUE(blocked_there);
  EXPECT_FALSE(is_blocked(SIGUSR1));
}

volatile sig_atomic_t handled = 0;

TEST(SignalsBlocked, LetsASignalInAfterwards) {
  struct sigaction action {};
  action.sa_handler = [](int) { handled = 1; };
  struct sigaction before {};
  ::sigaction(SIGUSR1, &action, &before);
  handled = 0;
  {
    const SignalsBlocked blocked;
    ::pthread_kill(::pthread_self(), SIGUSR1);
    EXPECT_EQ(handled, 0);
  }
  EXPECT_EQ(handled, 1);
  ::sigaction(SIGUSR1, &before, nullptr);
}

}  // namespace
}  // namespace weft::port
