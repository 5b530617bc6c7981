#include <weft/base/error.hpp>

#include "net/socket_call.hpp"

namespace weft {

using namespace detail;

namespace {

template <class Call>
ssize_t receive(Call& call, void* buffer, std::size_t size, int flags) {
  // An empty stream read would wait for bytes that it cannot take; an empty datagram read takes the datagram.
  if (size == 0 && call.is_stream()) return 0;
  const auto system = [=](int fd) { return port::sys_recv(fd, buffer, size, flags); };
  return leaves_readiness_alone(flags) ? call.peek(Direction::Read, system)
                                       : call.transfer(Direction::Read, size, system);
}

template <class Call>
[[noreturn]] [[gnu::cold, gnu::noinline]] void fail_receiving(const Call& call, ssize_t code, std::size_t received,
                                                              std::size_t size) {
  const std::string progress = " after " + std::to_string(received) + " of " + std::to_string(size) + " bytes";
  if (code == 0) throw EndOfStream{call.description() + "end of stream" + progress, received};
  if (code != kDeadlinePassed && code != -EAGAIN) call.fail(code);
  throw RecvTimeout{call.description() + (code == -EAGAIN ? "would block" : "timed out") + progress, received};
}

}  // namespace

std::size_t Socket::recv_into(void* buffer, std::size_t size, Deadline deadline, int flags) {
  Call call{*this, "recv from", deadline, !forbids_waiting(flags)};
  const ssize_t received = receive(call, buffer, size, flags);
  if (received < 0) call.fail(received);
  return static_cast<std::size_t>(received);
}

std::size_t Socket::recv_into(std::span<std::byte> buffer, Deadline deadline, int flags) {
  return recv_into(buffer.data(), buffer.size(), deadline, flags);
}

std::string Socket::recv(std::size_t max, Deadline deadline, int flags) {
  std::string bytes(max, '\0');
  // MSG_TRUNC makes it the length of the datagram.
  bytes.resize(std::min(max, recv_into(bytes.data(), bytes.size(), deadline, flags)));
  return bytes;
}

std::optional<std::size_t> Socket::try_recv_into(void* buffer, std::size_t size, int flags) {
  Call call{*this, "recv from", Deadline::never(), /*may_wait=*/false};
  const ssize_t received = receive(call, buffer, size, flags);
  if (received == -EAGAIN) return std::nullopt;
  if (received < 0) call.fail(received);
  return static_cast<std::size_t>(received);
}

void Socket::recv_exactly(void* buffer, std::size_t size, Deadline deadline) {
  Call call{*this, "recv from", deadline};
  char* const bytes = static_cast<char*>(buffer);
  for (std::size_t received = 0; received < size;) {
    const ssize_t count = receive(call, bytes + received, size - received, 0);
    if (count <= 0) fail_receiving(call, count, received, size);
    received += static_cast<std::size_t>(count);
  }
}

void Socket::recv_exactly(std::span<std::byte> buffer, Deadline deadline) {
  recv_exactly(buffer.data(), buffer.size(), deadline);
}

std::string Socket::recv_exactly(std::size_t size, Deadline deadline) {
  std::string bytes(size, '\0');
  recv_exactly(bytes.data(), bytes.size(), deadline);
  return bytes;
}

std::pair<std::string, Address> Socket::recvfrom(std::size_t max, Deadline deadline, int flags) {
  std::pair<std::string, Address> datagram;
  datagram.first.resize(max);
  const auto [size, from] = recvfrom_into(std::as_writable_bytes(std::span{datagram.first}), deadline, flags);
  datagram.first.resize(std::min(size, max));
  datagram.second = from;
  return datagram;
}

std::pair<std::size_t, Address> Socket::recvfrom_into(std::span<std::byte> into, Deadline deadline, int flags) {
  Call call{*this, "recv on", deadline, !forbids_waiting(flags)};
  AddressBuffer from;
  const auto system = [&](int fd) {
    from.size = sizeof from.storage;
    return port::sys_recvfrom(fd, into.data(), into.size(), flags, from.raw(), &from.size);
  };
  const ssize_t received =
      leaves_readiness_alone(flags) ? call.peek(Direction::Read, system) : call.transfer(Direction::Read, 0, system);
  if (received < 0) call.fail(received);
  return {static_cast<std::size_t>(received), from.size == 0 ? Address{} : from.address()};
}

std::size_t Socket::recvmsg(msghdr& message, Deadline deadline, int flags) {
  Call call{*this, "recv from", deadline, !forbids_waiting(flags)};
  // Every try starts from what the caller offered: the kernel overwrites the sizes.
  const msghdr offered = message;
  const auto system = [&](int fd) {
    message = offered;
    return port::sys_recvmsg(fd, &message, flags);
  };
  const ssize_t received =
      leaves_readiness_alone(flags) ? call.peek(Direction::Read, system) : call.transfer(Direction::Read, 0, system);
  if (received < 0) call.fail(received);
  return static_cast<std::size_t>(received);
}

}  // namespace weft
