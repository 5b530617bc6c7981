#pragma once

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>

#include <gtest/gtest.h>

#include "support/fork.hpp"
#include "support/eventually.hpp"

namespace weft::test {

/// A child made by fork() that is led through a function instruction by instruction, so that it can be killed at each
/// of them. What `warm_up` does comes before, at full speed. One thread of it is led: the one that runs the function.
/// Or a child that runs already: its first thread, from where it is.
class SteppedChild {
 public:
  /// More than any call that is led through takes, in a sanitizer's build too.
  static constexpr int kMostSteps = 200'000;

  enum class State {
    Stepping,    ///< Somewhere in the function.
    Asleep,      ///< In it, in a system call that waits; goes on stepping when it has been woken.
    Finished,    ///< The function has returned; the process exists still.
    NotAllowed,  ///< This machine allows no tracing.
  };

  SteppedChild(const std::function<void()>& warm_up, const std::function<void()>& body) {
    std::fflush(nullptr);
    pid_ = forked();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      warm_up();
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(77);
      ::raise(SIGSTOP);
      body();
      ::raise(SIGSTOP);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    if (WIFSTOPPED(status)) return;
    pid_ = -1;
    state_ = State::NotAllowed;
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 77) << "status " << status;
  }
  explicit SteppedChild(pid_t running) : pid_{running} {
    int status = 0;
    if (::ptrace(PTRACE_SEIZE, pid_, nullptr, nullptr) == 0 && ::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr) == 0 &&
        ::waitpid(pid_, &status, __WALL) == pid_ && WIFSTOPPED(status))
      return;
    pid_ = -1;
    state_ = State::NotAllowed;
  }
  SteppedChild(const SteppedChild&) = delete;
  SteppedChild& operator=(const SteppedChild&) = delete;
  ~SteppedChild() { kill(); }

  [[nodiscard]] State state() const { return state_; }

  /// At most so many instructions; ends earlier when it falls asleep or has finished. How many it were.
  int step(int most) {
    int steps = 0;
    while (steps < most && (state_ == State::Stepping || state_ == State::Asleep) && step_once()) ++steps;
    return steps;
  }
  /// kill -9, and the end of it.
  void kill() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, __WALL) == pid_ && WIFSTOPPED(status)) {
    }
    pid_ = -1;
  }

  /// Whether the first thread of a process sleeps in a system call.
  [[nodiscard]] static bool sleeps(pid_t pid) {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
    char text[512] = "";
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    const auto length = ::read(file, text, sizeof text - 1);
    ::close(file);
    if (length <= 0) return false;
    const char* const name_end = std::strrchr(text, ')');
    return name_end && name_end[1] == ' ' && name_end[2] == 'S';
  }
  /// ... and does so for a while.
  [[nodiscard]] static bool soon_sleeps(pid_t pid) {
    int seen = 0;
    return eventually([&] {
      seen = sleeps(pid) ? seen + 1 : 0;
      return seen >= 5;
    });
  }

 private:
  bool step_once() {
    if (state_ == State::Stepping) {
      if (reads_clock_for_it()) return true;
      ::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
    }
    int status = 0;
    int asleep = 0;
    for (int looks = 0; ::waitpid(pid_, &status, WNOHANG | __WALL) != pid_; ++looks) {
      ::sched_yield();
      if (looks < 100) continue;
      asleep = sleeps(pid_) ? asleep + 1 : 0;
      if (asleep > 0) ::usleep(1000);
      if (asleep == 5) {
        state_ = State::Asleep;
        return false;
      }
    }
    if (!WIFSTOPPED(status)) {
      ADD_FAILURE() << "the child ended, status " << status;
      pid_ = -1;
      state_ = State::Finished;
    } else {
      state_ = WSTOPSIG(status) == SIGSTOP ? State::Finished : State::Stepping;
    }
    return state_ == State::Stepping;
  }

  /// The clock in the vDSO is read again and again until the kernel has not changed it meanwhile, which it does at every tick: led one
  /// instruction at a time on a busy machine, a child would never get out of there. So that it is done for it, as one step. Nothing
  /// that a kill there could leave behind is lost: the clock is only read.
  bool reads_clock_for_it() {
#if defined(__x86_64__)
    static void* const vdso = ::dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
    static void* const clock = vdso ? ::dlsym(vdso, "__vdso_clock_gettime") : nullptr;
    user_regs_struct registers{};
    if (!clock || ::ptrace(PTRACE_GETREGS, pid_, nullptr, &registers) != 0 ||
        registers.rip != reinterpret_cast<std::uintptr_t>(clock)) {
      return false;
    }
    const auto which = static_cast<clockid_t>(registers.rdi);
    timespec now{};
    // A clock of a process or thread is another one here.
    if (which < 0 || which == CLOCK_PROCESS_CPUTIME_ID || which == CLOCK_THREAD_CPUTIME_ID || ::clock_gettime(which, &now) != 0) return false;
    static_assert(sizeof now == 2 * sizeof(long));
    const auto at = [](std::uint64_t address) { return reinterpret_cast<void*>(address); };
    const long back = ::ptrace(PTRACE_PEEKDATA, pid_, at(registers.rsp), nullptr);
    if (::ptrace(PTRACE_POKEDATA, pid_, at(registers.rsi), at(static_cast<std::uint64_t>(now.tv_sec))) != 0 ||
        ::ptrace(PTRACE_POKEDATA, pid_, at(registers.rsi + sizeof(long)), at(static_cast<std::uint64_t>(now.tv_nsec))) != 0) {
      return false;
    }
    registers.rax = 0;
    registers.rip = static_cast<std::uint64_t>(back);
    registers.rsp += sizeof(long);
    return ::ptrace(PTRACE_SETREGS, pid_, nullptr, &registers) == 0;
#else
    return false;
#endif
  }

  pid_t pid_ = -1;
  State state_ = State::Stepping;
};

}  // namespace weft::test
