// Bare write() and read() on a socketpair, into memory that was used before. Arguments: see trips.hpp.
#include <vector>

#include "p15_array/trips.hpp"

namespace {

using Bytes = std::vector<std::byte>;

void send(int socket, const Bytes& value) {
  for (std::size_t done = 0; done < value.size();) {
    const ssize_t part = ::write(socket, value.data() + done, value.size() - done);
    bench::require(part > 0, "write");
    done += static_cast<std::size_t>(part);
  }
}

bool receive(int socket, Bytes& value) {
  for (std::size_t done = 0; done < value.size();) {
    const ssize_t part = ::read(socket, value.data() + done, value.size() - done);
    if (part <= 0) return false;
    done += static_cast<std::size_t>(part);
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::size_t size = bench::array_size(arguments);
  const bench::Worker worker{[size](int socket) {
    Bytes value(size, std::byte{1});
    while (receive(socket, value)) {
      value.back() = std::byte(static_cast<unsigned>(value.front()) + 1);
      send(socket, value);
    }
  }};
  Bytes value(size, std::byte{1}), back(value);
  unsigned trip = 0;
  bench::measure(arguments, 1, [&] {
    value.front() = std::byte(++trip);
    send(worker.socket(), value);
    bench::require(receive(worker.socket(), back), "read");
    bench::check_marks(back.front(), back.back(), trip);
  });
}
