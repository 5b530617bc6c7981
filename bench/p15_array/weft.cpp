// --by memory: a process::Array is sent, by its descriptor, and sent back; by value: a std::vector is copied into a block of shared
// memory and out of it, both ways. Arguments: see trips.hpp.
#include <weft/process/array.hpp>
#include <weft/process/sendable.hpp>

#include <vector>

#include "../src/process/large_block.hpp"
#include "p15_array/trips.hpp"

namespace {

using weft::OwnedFd;
using weft::process::Incoming;
using weft::process::Outgoing;
using weft::process::detail::LargeBlock;
using Array = weft::process::Array<std::byte>;
using Bytes = std::vector<std::byte>;

void send(int socket, const Array& array) {
  Outgoing out;
  out(array);
  bench::send_message(socket, out.bytes().data(), out.bytes().size(), out.descriptors()[0].get());
}

/// False: the other end is closed.
template <class Use>
bool with_array(int socket, Use use) {
  std::byte bytes[256];
  const auto [size, fd] = bench::receive_message(socket, bytes, sizeof bytes);
  if (size == 0) return false;
  std::vector<OwnedFd> descriptors;
  descriptors.emplace_back(fd);
  Incoming in{std::span{bytes, size}, std::move(descriptors)};
  const auto array = in.receive<Array>();
  use(array);
  return true;
}

void by_memory(const bench::Arguments& arguments) {
  const bench::Worker worker{[](int socket) {
    while (with_array(socket, [&](const Array& array) {
      array[array.size() - 1] = std::byte(static_cast<unsigned>(array[0]) + 1);
      send(socket, array);
    })) {
    }
  }};
  const Array array{bench::array_size(arguments), weft::process::no_lock};
  unsigned trip = 0;
  bench::measure(arguments, 1, [&] {
    array[0] = std::byte(++trip);
    send(worker.socket(), array);
    with_array(worker.socket(), [&](const Array& back) { bench::check_marks(back[0], back[back.size() - 1], trip); });
  });
}

void send(int socket, const Bytes& value) {
  Outgoing out;
  out.put_large_in_block();
  out(value);
  LargeBlock block = out.take_block();
  const std::size_t size = block.size();
  bench::send_message(socket, &size, sizeof size, block.lend());
}

/// Empty: the other end is closed.
Bytes receive(int socket) {
  std::size_t size = 0;
  const auto [received, fd] = bench::receive_message(socket, &size, sizeof size);
  if (received == 0) return {};
  const LargeBlock block = LargeBlock::receive(OwnedFd{fd}, size);
  Incoming in = Incoming::from_block(block);
  return in.receive<Bytes>();
}

void by_value(const bench::Arguments& arguments) {
  const bench::Worker worker{[](int socket) {
    for (Bytes value = receive(socket); !value.empty(); value = receive(socket)) {
      value.back() = std::byte(static_cast<unsigned>(value.front()) + 1);
      send(socket, value);
    }
  }};
  Bytes value(bench::array_size(arguments), std::byte{1});
  unsigned trip = 0;
  bench::measure(arguments, 1, [&] {
    value.front() = std::byte(++trip);
    send(worker.socket(), value);
    const Bytes back = receive(worker.socket());
    bench::check_marks(back.front(), back.back(), trip);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  arguments.text("by", "memory") == "memory" ? by_memory(arguments) : by_value(arguments);
}
