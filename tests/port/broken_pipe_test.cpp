// Sending to a peer that has gone fails with EPIPE; the signal, which would end most programs, is never raised.

#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>
#include <ctime>

#include "port/socket_calls.hpp"
#include "sockets.hpp"

namespace weft::port {
namespace {

volatile sig_atomic_t raised = 0;

class BrokenPipe : public testing::Test {
 protected:
  void SetUp() override {
    raised = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { raised = raised + 1; };
    ::sigaction(SIGPIPE, &action, &action_before_);
    ::sigemptyset(&pipe_only_);
    ::sigaddset(&pipe_only_, SIGPIPE);
    ::pthread_sigmask(SIG_UNBLOCK, &pipe_only_, &mask_before_);
  }
  void TearDown() override {
    ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
    ::sigaction(SIGPIPE, &action_before_, nullptr);
    EXPECT_EQ(raised, 0);
  }

  static bool is_pending() {
    sigset_t pending;
    ::sigpending(&pending);
    return ::sigismember(&pending, SIGPIPE) == 1;
  }
  static bool is_blocked() {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return ::sigismember(&mask, SIGPIPE) == 1;
  }
  void block() { ::pthread_sigmask(SIG_BLOCK, &pipe_only_, nullptr); }
  [[nodiscard]] bool take_pending() {
    const timespec at_once{};
    return ::sigtimedwait(&pipe_only_, nullptr, &at_once) == SIGPIPE;
  }

 private:
  sigset_t pipe_only_{};
  sigset_t mask_before_{};
  struct sigaction action_before_ {};
};

/// A socket whose peer has gone.
struct Deserted {
  Pair pair;
  Deserted() { EXPECT_EQ(sys_shutdown(pair.a, SHUT_WR), 0); }
  [[nodiscard]] int fd() const { return pair.a; }
};

TEST_F(BrokenPipe, EndsEachWayOfSendingWithAnError) {
  const Deserted deserted;
  const Closing file{file_of("some text")};
  Rights message;
  message.message.msg_control = nullptr;
  message.message.msg_controllen = 0;
  off_t offset = 0;
  EXPECT_EQ(sys_send(deserted.fd(), "x", 1, 0), -EPIPE);
  EXPECT_EQ(sys_sendto(deserted.fd(), "x", 1, 0, nullptr, 0), -EPIPE);
  EXPECT_EQ(sys_sendmsg(deserted.fd(), &message.message, 0), -EPIPE);
  EXPECT_EQ(sys_sendfile(deserted.fd(), file.fd, &offset, 9), -EPIPE);
  EXPECT_EQ(offset, 0);
  EXPECT_FALSE(is_pending());
}

TEST_F(BrokenPipe, SendFileLeavesTheSignalMaskAsItWas) {
  const Pair pair;
  const Deserted deserted;
  const Closing file{file_of("some text")};
  for (const bool blocked : {false, true}) {
    if (blocked) block();
    off_t offset = 0;
    EXPECT_EQ(sys_sendfile(pair.a, file.fd, &offset, 9), 9);
    EXPECT_EQ(is_blocked(), blocked);
    EXPECT_EQ(sys_sendfile(deserted.fd(), file.fd, &offset, 9), 0);  // at the end of the file
    offset = 0;
    EXPECT_EQ(sys_sendfile(deserted.fd(), file.fd, &offset, 9), -EPIPE);
    EXPECT_EQ(is_blocked(), blocked);
    EXPECT_FALSE(is_pending());
  }
}

TEST_F(BrokenPipe, SendFileKeepsASignalThatWasPendingBefore) {
  const Deserted deserted;
  const Closing file{file_of("some text")};
  block();
  ::pthread_kill(::pthread_self(), SIGPIPE);
  ASSERT_TRUE(is_pending());
  off_t offset = 0;
  EXPECT_EQ(sys_sendfile(deserted.fd(), file.fd, &offset, 9), -EPIPE);
  EXPECT_TRUE(take_pending());
}

}  // namespace
}  // namespace weft::port
