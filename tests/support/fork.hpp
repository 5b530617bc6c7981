#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cerrno>

#include <weft/base/error.hpp>

namespace weft::test {

/// fork(), which throws OSError when there is to be no child: -1, taken for a pid, means all processes of the machine to kill().
[[nodiscard]] inline pid_t forked() {
  const pid_t pid = ::fork();
  if (pid < 0) throw OSError{errno, "fork", "a child of a test"};
  return pid;
}

}  // namespace weft::test
