#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <utility>

#include <gtest/gtest.h>

#include "support/fork.hpp"
#include "support/eventually.hpp"

namespace weft::test {

/// A child made by fork() that runs a function, true: well, and ends. It ends with its parent; dropped, it is killed.
class Child {
 public:
  Child() = default;
  explicit Child(const std::function<bool()>& body) {
    const pid_t parent = ::getpid();
    std::fflush(nullptr);
    pid_ = forked();
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(3);
    ::_exit(run(body));
  }
  Child(Child&& other) noexcept : pid_{std::exchange(other.pid_, -1)} {}
  Child& operator=(Child&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }
  ~Child() {
    if (pid_ > 0) (void)kill();
  }

  [[nodiscard]] pid_t pid() const { return pid_; }

  /// Its exit code; 128 and more: a signal. Fails the test when it does not end, and kills it.
  [[nodiscard]] int join() {
    int status = -1;
    if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) != 0; })) {
      ADD_FAILURE() << "child " << pid_ << " does not end";
      return kill();
    }
    pid_ = -1;
    return code_of(status);
  }
  /// kill -9, and the end of it. -1: it has been killed or joined already.
  int kill() {
    if (pid_ <= 0) return -1;
    ::kill(pid_, SIGKILL);
    int status = -1;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return code_of(status);
  }
  /// kill -9; it stays a zombie until kill() or join().
  void kill_unreaped() const {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    siginfo_t ended{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOWAIT);
  }

 private:
  static int run(const std::function<bool()>& body) {
    try {
      return body() ? 0 : 1;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
    } catch (...) {
      std::fprintf(stderr, "child: an exception\n");
    }
    return 2;
  }
  static int code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

  pid_t pid_ = -1;
};

/// An object in memory that children of fork() share.
template <class T>
class InSharedMemory {
 public:
  InSharedMemory() {
    void* memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc{};
    object_ = ::new (memory) T{};
  }
  InSharedMemory(const InSharedMemory&) = delete;
  InSharedMemory& operator=(const InSharedMemory&) = delete;
  ~InSharedMemory() { ::munmap(static_cast<void*>(object_), sizeof(T)); }

  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }

 private:
  T* object_;
};

}  // namespace weft::test
