#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <functional>

#include "support/fork.hpp"

namespace weft::test {

/// Starts a child by fork(), which ends with what the body returns; 99: the body threw, which standard error tells.
[[nodiscard]] inline pid_t start_child(const std::function<int()>& body) {
  const pid_t pid = forked();
  if (pid != 0) return pid;
  try {
    ::_exit(body());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "in a child: %s\n", error.what());
    ::_exit(99);
  }
}

/// Its exit code, or minus the signal that it died of.
inline int end_of_child(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return 98;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

inline int in_child(const std::function<int()>& body) { return end_of_child(start_child(body)); }

}  // namespace weft::test
