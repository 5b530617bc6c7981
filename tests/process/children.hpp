#pragma once

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include <weft/base/owned_fd.hpp>
#include <weft/process/shared_memory.hpp>
#include <weft/process/process.hpp>

#include "support/eventually.hpp"
#include "support/leaks.hpp"

namespace weft {

inline void PrintTo(StartMethod method, std::ostream* out) { *out << process::to_string(method); }

}  // namespace weft

namespace weft::test {

/// A pipe through which a child tells what it sees. The writing end is given to the child, and with it gone here, read_all() comes to
/// an end when all children that have it have ended.
struct Report {
  OwnedFd reading;
  OwnedFd writing;

  Report() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) == 0) {
      reading.reset(ends[0]);
      writing.reset(ends[1]);
    }
  }

  /// For as many children that wait_for_go() at the reading end.
  void go(int count = 1) const {
    const std::string bytes(static_cast<std::size_t>(count), 'g');
    if (::write(writing.get(), bytes.data(), bytes.size()) != count) ::_exit(98);
  }

  /// "": nothing came within a test's patience.
  [[nodiscard]] std::string read_some() {
    pollfd polled{reading.get(), POLLIN, 0};
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience).count();
    if (::poll(&polled, 1, static_cast<int>(ms)) <= 0) return "";
    char buffer[4096];
    const ssize_t count = ::read(reading.get(), buffer, sizeof buffer);
    return count > 0 ? std::string(buffer, static_cast<std::size_t>(count)) : "";
  }
  [[nodiscard]] std::string read_all() {
    writing.reset();
    std::string text;
    for (std::string more = read_some(); !more.empty(); more = read_some()) text += more;
    return text;
  }
};

inline void tell(const OwnedFd& fd, std::string_view text) {
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) ::_exit(99);
}

/// Blocks until it is killed, or somebody has called go() for it.
inline void wait_for_go(const OwnedFd& fd) {
  char byte;
  while (::read(fd.get(), &byte, 1) < 0 && errno == EINTR) {
  }
}

/// Whether there is such a process, other than as a zombie.
inline bool process_exists(pid_t pid) {
  std::ifstream status{"/proc/" + std::to_string(pid) + "/stat"};
  std::string text;
  if (!std::getline(status, text)) return false;
  const auto behind_name = text.rfind(')');
  return behind_name == std::string::npos || text.substr(behind_name + 2, 1) != "Z";
}

/// Run by every start method.
class EachStartMethod : public testing::TestWithParam<StartMethod> {
 protected:
  static void SetUpTestSuite() {
    process::start_forkserver();                      // keeps a socket and a pidfd
    process::SharedMemory::create("", 1).unlink();  // starts the keeper of names, to which there is a socket
    LeakFree::SetUpTestSuite();
  }
  static void TearDownTestSuite() {
    EXPECT_TRUE(process::active_children().empty());
    LeakFree::TearDownTestSuite();
  }

  template <class F, class... Args>
  [[nodiscard]] Process make(F&& callable, Args&&... args) const {
    return Process{GetParam(), std::forward<F>(callable), std::forward<Args>(args)...};
  }
};

inline const auto kAllMethods = testing::Values(StartMethod::Fork, StartMethod::Spawn, StartMethod::Forkserver);
inline std::string name_of_method(const testing::TestParamInfo<StartMethod>& info) {
  std::string name{process::to_string(info.param)};
  name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name;
}

}  // namespace weft::test
