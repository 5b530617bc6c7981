#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <weft/base/deadline.hpp>
#include <weft/base/owned_fd.hpp>

#include "support/fork.hpp"
#include "support/eventually.hpp"
#include "support/paths.hpp"

namespace weft::test {

/// tests/process/python/NAME, run by python3: lines go in, lines come out.
class PythonScript {
 public:
  explicit PythonScript(const std::string& name) {
    const std::string path = source_dir() + "/tests/process/python/" + name;
    int in[2], out[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) return;
    pid_ = forked();
    if (pid_ == 0) {
      ::dup2(in[0], STDIN_FILENO);
      ::dup2(out[1], STDOUT_FILENO);
      ::execlp("python3", "python3", path.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    in_.reset(in[1]);
    out_.reset(out[0]);
  }
  ~PythonScript() { EXPECT_EQ(finish(), 0); }

  /// What it answers. After a deadline passed: what there is so far.
  [[nodiscard]] std::string ask(const std::string& line) {
    const std::string all = line + '\n';
    if (::write(in_.get(), all.data(), all.size()) != static_cast<ssize_t>(all.size())) return "<it has ended>";
    std::string answer;
    const Deadline deadline = Deadline::after(kPatience);
    for (char c = 0; !deadline.has_passed();) {
      pollfd ready{out_.get(), POLLIN, 0};
      if (::poll(&ready, 1, 100) <= 0) continue;
      if (::read(out_.get(), &c, 1) != 1) return answer + "<it has ended>";
      if (c == '\n') return answer;
      answer += c;
    }
    return answer + "<no answer>";
  }

  /// Ends its input; its exit code.
  int finish() {
    if (pid_ <= 0) return 0;
    in_.reset();
    int status = 0;
    const bool ended = eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; });
    if (!ended) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status, 0);
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
  OwnedFd in_;
  OwnedFd out_;
};

}  // namespace weft::test
