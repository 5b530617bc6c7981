#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/thread/current_thread.hpp>
#include <weft/thread/thread.hpp>

#include "support/leaks.hpp"

namespace weft::test {
namespace {

class ThreadOptionsTest : public LeakFree {};

int some_cpu() {
  cpu_set_t set;
  ::sched_getaffinity(0, sizeof set, &set);
  int cpu = 0;
  while (!CPU_ISSET(cpu, &set)) ++cpu;
  return cpu;
}

TEST_F(ThreadOptionsTest, NiceValueIsTheThreadsAlone) {
  const int own = ::getpriority(PRIO_PROCESS, 0);
  int seen = -100;
  const int wanted = std::min(own + 3, 19);
  Thread thread{[&] { seen = ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid())); }};
  thread.set_nice(wanted).start();
  thread.join();
  EXPECT_EQ(seen, wanted);
  EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), own);
}

TEST_F(ThreadOptionsTest, PolicyIsSet) {
  int seen = -1;
  Thread thread{[&] { seen = ::sched_getscheduler(0); }};
  thread.set_policy(SchedulingPolicy::Batch).start();
  thread.join();
  EXPECT_EQ(seen, SCHED_BATCH);
  thread = Thread{[&] { seen = ::sched_getscheduler(0); }};
  thread.set_policy(SchedulingPolicy::Idle).start();
  thread.join();
  EXPECT_EQ(seen, SCHED_IDLE);
}

TEST_F(ThreadOptionsTest, ProcessorsAreChosen) {
  const int cpu = some_cpu();
  cpu_set_t seen;
  CPU_ZERO(&seen);
  Thread thread{[&] { ::sched_getaffinity(0, sizeof seen, &seen); }};
  thread.set_cpus({static_cast<unsigned>(cpu)}).start();
  thread.join();
  EXPECT_EQ(CPU_COUNT(&seen), 1);
  EXPECT_TRUE(CPU_ISSET(cpu, &seen));
}

TEST_F(ThreadOptionsTest, SignalsAreBlockedAsAskedAndOtherwiseAsInTheStarter) {
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR1);
  sigset_t seen;
  const auto look = [&] { ::pthread_sigmask(SIG_SETMASK, nullptr, &seen); };
  Thread thread{look};
  thread.set_signal_mask(blocked).start();
  thread.join();
  EXPECT_EQ(::sigismember(&seen, SIGUSR1), 1);
  EXPECT_EQ(::sigismember(&seen, SIGUSR2), 0);

  thread = Thread{look};
  thread.start();
  thread.join();
  EXPECT_EQ(::sigismember(&seen, SIGUSR1), 0);
  sigset_t own;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &own);
  EXPECT_EQ(::sigismember(&own, SIGUSR2), 0);
}

TEST_F(ThreadOptionsTest, StackIsAsLargeAsAsked) {
  for (const std::size_t bytes : {std::size_t{512} << 10, std::size_t{32} << 20}) {
    std::size_t seen = 0;
    Thread thread{[&] {
      pthread_attr_t attributes;
      ::pthread_getattr_np(::pthread_self(), &attributes);
      void* bottom = nullptr;
      ::pthread_attr_getstack(&attributes, &bottom, &seen);
      ::pthread_attr_destroy(&attributes);
    }};
    thread.set_stack_bytes(bytes).start();
    thread.join();
    EXPECT_GE(seen, bytes);
    EXPECT_LE(seen, bytes + (std::size_t{64} << 10));
  }
}

/// The error of start(); the thread has not been started then.
std::string refusal(Thread& thread, int error) {
  const std::size_t before = active_count();
  std::string text;
  try {
    thread.start();
    ADD_FAILURE() << "was started";
  } catch (const OSError& refused) {
    text = refused.what();
    EXPECT_EQ(refused.errno_value(), error) << text;
  }
  EXPECT_FALSE(thread.is_alive());
  EXPECT_EQ(active_count(), before);
  EXPECT_THROW(thread.join(), InvalidStateError);
  return text;
}

// test_limbo_cleanup
TEST_F(ThreadOptionsTest, RefusedOnesSayWhatWasTriedAndCanBeCorrected) {
  bool ran = false;
  Thread thread{[&] { ran = true; }};
  thread.set_name("eager");
  thread.set_policy(SchedulingPolicy::Fifo, 0);
  EXPECT_EQ(refusal(thread, EINVAL), "set scheduling policy fifo, priority 0, of thread \"eager\": Invalid argument");
  thread.set_policy(SchedulingPolicy::Other).set_cpus({CPU_SETSIZE - 1});
  EXPECT_EQ(refusal(thread, EINVAL), "choose the processors of thread \"eager\": Invalid argument");
  thread.set_cpus({static_cast<unsigned>(some_cpu())}).set_stack_bytes(1);
  EXPECT_EQ(refusal(thread, EINVAL), "give a stack of 1 bytes to thread \"eager\": Invalid argument");
  thread.set_stack_bytes(std::size_t{1} << 62);
  EXPECT_EQ(refusal(thread, EAGAIN), "start thread \"eager\": Resource temporarily unavailable");
  thread.set_stack_bytes(std::size_t{1} << 20);
  EXPECT_FALSE(ran);
  thread.start();
  thread.join();
  EXPECT_TRUE(ran);
  EXPECT_THROW(thread.set_cpus({CPU_SETSIZE}), OSError);
}

TEST_F(ThreadOptionsTest, AreSetBeforeStart) {
  Thread thread{[] {}};
  thread.start();
  sigset_t none;
  ::sigemptyset(&none);
  EXPECT_THROW(thread.set_nice(1), InvalidStateError);
  EXPECT_THROW(thread.set_policy(SchedulingPolicy::Batch), InvalidStateError);
  EXPECT_THROW(thread.set_cpus({0}), InvalidStateError);
  EXPECT_THROW(thread.set_signal_mask(none), InvalidStateError);
  EXPECT_THROW(thread.set_stack_bytes(1 << 20), InvalidStateError);
  thread.join();
}

}  // namespace
}  // namespace weft::test
