// A bare socketpair, with send(2) and recv(2) that block.
#include <sys/socket.h>

#include "p17_pipe/round_trip.hpp"

namespace {

struct End {
  int fd = -1;
  void send(const char* message) const { (void)!::send(fd, message, bench::kMessageBytes, 0); }
  bool receive(char* message) const { return ::recv(fd, message, bench::kMessageBytes, 0) > 0; }
};

class Pair {
 public:
  Pair() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) std::abort();
    first_.fd = fds[0];
    second_.fd = fds[1];
  }
  End& first() { return first_; }
  End& second() { return second_; }
  void close_first() const { ::close(first_.fd); }
  void close_second() const { ::close(second_.fd); }

 private:
  End first_;
  End second_;
};

}  // namespace

int main(int argc, char** argv) { bench::measure_round_trips<Pair>(bench::Arguments(argc, argv)); }
