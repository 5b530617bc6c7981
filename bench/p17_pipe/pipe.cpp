// Two bare pipes, with write(2) and read(2).
#include "p17_pipe/round_trip.hpp"

namespace {

struct End {
  int in = -1;
  int out = -1;
  void send(const char* message) const { (void)!::write(out, message, bench::kMessageBytes); }
  bool receive(char* message) const { return ::read(in, message, bench::kMessageBytes) > 0; }
  void close() const {
    ::close(in);
    ::close(out);
  }
};

class Pair {
 public:
  Pair() {
    int there[2];
    int back[2];
    if (::pipe(there) != 0 || ::pipe(back) != 0) std::abort();
    first_ = {back[0], there[1]};
    second_ = {there[0], back[1]};
  }
  End& first() { return first_; }
  End& second() { return second_; }
  void close_first() const { first_.close(); }
  void close_second() const { second_.close(); }

 private:
  End first_;
  End second_;
};

}  // namespace

int main(int argc, char** argv) { bench::measure_round_trips<Pair>(bench::Arguments(argc, argv)); }
