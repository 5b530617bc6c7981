#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/base/owned_fd.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/process/sendable.hpp>

#include "support/eventually.hpp"

namespace weft::test {

// What tests of pools of processes send there: functions, and where they are used from.

inline int twice(int number) { return 2 * number; }
inline int own_pid() { return ::getpid(); }

struct Unlucky : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Holds tasks up until it is opened: a pipe, of which every task gets the end that is read.
class Gate {
 public:
  Gate() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw OSError{errno, "making a gate"};
    reader_.reset(ends[0]);
    writer_.reset(ends[1]);
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { open(); }

  void open() {
    if (open_) return;
    open_ = true;
    [[maybe_unused]] const auto written = ::write(writer_.get(), "!", 1);
  }
  /// What is sent to a task. Nobody reads the byte: it stays for all.
  [[nodiscard]] OwnedFd entrance() const { return OwnedFd::duplicate(reader_.get()); }

 private:
  OwnedFd reader_;
  OwnedFd writer_;
  bool open_ = false;
};

/// In a task: until the gate is open.
inline void pass(const OwnedFd& entrance) {
  pollfd entry{entrance.get(), POLLIN, 0};
  while (::poll(&entry, 1, -1) < 0 && errno == EINTR) {
  }
}
inline int pass_then_pid(OwnedFd entrance) {
  pass(entrance);
  return ::getpid();
}

/// For an initializer, which can be sent no descriptor.
inline std::string path_of(const OwnedFd& fd) { return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd.get()); }
inline void wait_at(const std::string& entrance) { pass(OwnedFd{::open(entrance.c_str(), O_RDONLY | O_CLOEXEC)}); }

/// A file that tasks append a byte to each time they are called: a count that several processes see.
class Tally {
 public:
  Tally() : fd_{::memfd_create("tally", MFD_CLOEXEC)} {}
  [[nodiscard]] OwnedFd share() const { return OwnedFd::duplicate(fd_.get()); }
  [[nodiscard]] long count() const { return static_cast<long>(::lseek(fd_.get(), 0, SEEK_END)); }
  static void add(const OwnedFd& shared) {
    ::fcntl(shared.get(), F_SETFL, O_APPEND);
    [[maybe_unused]] const auto written = ::write(shared.get(), "x", 1);
  }

 private:
  OwnedFd fd_;
};

[[nodiscard]] inline bool is_gone(int pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }

/// Runs a body in the calling thread, and in a fiber.
struct FromAThread {
  template <class Body>
  static void run(Body body) {
    body();
  }
};
struct FromAFiber {
  template <class Body>
  static void run(Body body) {
    Runtime runtime{{.workers = 2, .stack_bytes = 1024 * 1024}};
    runtime.run([&] { body(); });
  }
};
using Places = testing::Types<FromAThread, FromAFiber>;

}  // namespace weft::test
