// What all programs of p15 do: bytes go to a worker process and come back, changed at both ends. Arguments: --size (bytes), --repeat.
#pragma once

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "common/arguments.hpp"
#include "common/measure.hpp"

namespace bench {

inline void require(bool held, const char* what) {
  if (held) return;
  std::perror(what);
  std::exit(1);
}

inline std::size_t array_size(const Arguments& arguments) { return arguments.number("size", 256 << 20); }

/// A child of fork() that runs `serve(socket)` until its end of a socketpair is closed.
class Worker {
 public:
  template <class Serve>
  explicit Worker(Serve serve) {
    int ends[2];
    require(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    pid_ = ::fork();
    require(pid_ >= 0, "fork");
    if (pid_ == 0) {
      ::close(ends[0]);
      serve(ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    socket_ = ends[0];
  }
  ~Worker() {
    ::close(socket_);
    ::waitpid(pid_, nullptr, 0);
  }
  int socket() const { return socket_; }

 private:
  pid_t pid_;
  int socket_;
};

/// The caller marks the first byte, the worker the last one.
inline void check_marks(std::byte first, std::byte last, unsigned trip) {
  if (first == std::byte(trip) && last == std::byte(trip + 1)) return;
  std::fprintf(stderr, "what came back is not what was sent\n");
  std::exit(1);
}

}  // namespace bench
