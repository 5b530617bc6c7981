// weft::process::pipe(). --on threads|fibers: what this process's side runs on.
#include <weft/fiber/runtime.hpp>
#include <weft/process/connection.hpp>

#include "p17_pipe/round_trip.hpp"

namespace {

class End {
 public:
  explicit End(weft::process::Connection connection) : connection_{std::move(connection)} {}
  void send(const char* message) { connection_.send_bytes(std::string_view{message, bench::kMessageBytes}); }
  bool receive(char* message) {
    try {
      return connection_.recv_bytes_into(std::as_writable_bytes(std::span{message, bench::kMessageBytes})) == bench::kMessageBytes;
    } catch (const weft::EndOfStream&) {
      return false;
    }
  }
  void close() { connection_.close(); }

 private:
  weft::process::Connection connection_;
};

class Pair {
 public:
  End& first() { return first_; }
  End& second() { return second_; }
  void close_first() { first_.close(); }
  void close_second() { second_.close(); }

 private:
  std::pair<weft::process::Connection, weft::process::Connection> made_ = weft::process::pipe();
  End first_{std::move(made_.first)};
  End second_{std::move(made_.second)};
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  if (arguments.text("on", "threads") == "threads") {
    bench::measure_round_trips<Pair>(arguments);
  } else {
    weft::Runtime runtime({.workers = 1});
    runtime.run([&] { bench::measure_round_trips<Pair>(arguments); });
  }
}
