#include <array>

#include <weft/base/error.hpp>

#include "net/socket_call.hpp"

namespace weft {

using namespace detail;

namespace {

// Bounds the time one sendfile(2) keeps a worker from its other fibers to a fraction of a millisecond.
constexpr std::size_t kSendfileBytesPerCall = 1u << 20;
constexpr std::size_t kPartsPerCall = 16;

template <class Call>
[[noreturn]] [[gnu::cold, gnu::noinline]] void fail_sending(const Call& call, ssize_t code, std::size_t sent,
                                                            std::size_t size) {
  if (code != kDeadlinePassed && code != -EAGAIN) call.fail(code);
  throw SendTimeout{call.description() + (code == -EAGAIN ? "would block" : "timed out") + " after " +
                        std::to_string(sent) + " of " + std::to_string(size) + " bytes",
                    sent};
}

}  // namespace

std::size_t Socket::send(const void* data, std::size_t size, Deadline deadline, int flags) {
  Call call{*this, "send to", deadline, !forbids_waiting(flags)};
  const ssize_t sent =
      call.transfer(Direction::Write, size, [=](int fd) { return port::sys_send(fd, data, size, flags); });
  if (sent < 0) call.fail(sent);
  return static_cast<std::size_t>(sent);
}

std::size_t Socket::send(std::string_view bytes, Deadline deadline, int flags) {
  return send(bytes.data(), bytes.size(), deadline, flags);
}

std::size_t Socket::send(std::span<const std::byte> bytes, Deadline deadline, int flags) {
  return send(bytes.data(), bytes.size(), deadline, flags);
}

std::optional<std::size_t> Socket::try_send(const void* data, std::size_t size, int flags) {
  Call call{*this, "send to", Deadline::never(), /*may_wait=*/false};
  const ssize_t sent =
      call.transfer(Direction::Write, size, [=](int fd) { return port::sys_send(fd, data, size, flags); });
  if (sent == -EAGAIN) return std::nullopt;
  if (sent < 0) call.fail(sent);
  return static_cast<std::size_t>(sent);
}

std::optional<std::size_t> Socket::try_send(std::string_view bytes, int flags) {
  return try_send(bytes.data(), bytes.size(), flags);
}

void Socket::send_all(const void* data, std::size_t size, Deadline deadline) {
  Call call{*this, "send to", deadline};
  const char* const bytes = static_cast<const char*>(data);
  for (std::size_t sent = 0; sent < size;) {
    const ssize_t count = call.transfer(Direction::Write, size - sent, [=](int fd) {
      return port::sys_send(fd, bytes + sent, size - sent, 0);
    });
    if (count < 0) fail_sending(call, count, sent, size);
    sent += static_cast<std::size_t>(count);
  }
}

void Socket::send_all(std::string_view bytes, Deadline deadline) { send_all(bytes.data(), bytes.size(), deadline); }

void Socket::send_all(std::span<const std::byte> bytes, Deadline deadline) {
  send_all(bytes.data(), bytes.size(), deadline);
}

void Socket::send_parts(std::span<const std::string_view> parts, Deadline deadline) {
  Call call{*this, "send to", deadline};
  std::size_t total = 0;
  for (const std::string_view part : parts) total += part.size();

  std::size_t sent = 0;
  std::size_t first = 0;   // the part that is not wholly sent,
  std::size_t offset = 0;  // and how much of it is
  while (sent < total) {
    std::array<iovec, kPartsPerCall> pieces;
    std::size_t used = 0;
    std::size_t offered = 0;
    for (std::size_t i = first; i < parts.size() && used < pieces.size(); ++i) {
      const std::string_view rest = i == first ? parts[i].substr(offset) : parts[i];
      if (rest.empty()) continue;
      pieces[used++] = {const_cast<char*>(rest.data()), rest.size()};
      offered += rest.size();
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = used;
    const ssize_t count = call.transfer(Direction::Write, offered,
                                        [&](int fd) { return port::sys_sendmsg(fd, &message, 0); });
    if (count < 0) fail_sending(call, count, sent, total);
    sent += static_cast<std::size_t>(count);
    offset += static_cast<std::size_t>(count);
    while (first < parts.size() && offset >= parts[first].size()) offset -= parts[first++].size();
  }
}

std::size_t Socket::sendfile(int file_fd, off_t offset, std::size_t count, Deadline deadline) {
  Call call{*this, "send file to", deadline};
  std::size_t sent = 0;
  while (sent < count) {
    const std::size_t wanted = std::min(count - sent, kSendfileBytesPerCall);
    // Not `wanted`: a short count may also mean that the file ended, which says nothing about the socket.
    const ssize_t moved = call.transfer(
        Direction::Write, 0, [&](int fd) { return port::sys_sendfile(fd, file_fd, &offset, wanted); });
    if (moved < 0) fail_sending(call, moved, sent, count);
    if (moved == 0) break;
    sent += static_cast<std::size_t>(moved);
  }
  return sent;
}

std::size_t Socket::sendto(std::string_view bytes, const Address& to, Deadline deadline, int flags) {
  Call call{*this, "send to", deadline, !forbids_waiting(flags)};
  Duration pause = kFirstPause;
  for (;;) {
    const auto system = [&](int fd) {
      return port::sys_sendto(fd, bytes.data(), bytes.size(), flags, to.data(), to.size());
    };
    // A full UNIX receiver makes the sender neither unwritable nor, later, writable: look again now and then.
    ssize_t sent = to.is_unix() ? system(call.fd()) : call.transfer(Direction::Write, 0, system);
    if (sent == -EAGAIN && to.is_unix()) {
      sent = call.pause(pause);
      pause = doubled(pause, kLastPause);
      if (sent == 0) continue;
    }
    if (sent < 0) call.fail_on(sent, to.to_string());
    return static_cast<std::size_t>(sent);
  }
}

std::size_t Socket::sendto(std::span<const std::byte> bytes, const Address& to, Deadline deadline, int flags) {
  return sendto(std::string_view{reinterpret_cast<const char*>(bytes.data()), bytes.size()}, to, deadline, flags);
}

std::size_t Socket::sendmsg(const msghdr& message, Deadline deadline, int flags) {
  Call call{*this, "send to", deadline, !forbids_waiting(flags)};
  const bool to_unix_name = kind_.family == AF_UNIX && message.msg_namelen > 0;
  Duration pause = kFirstPause;
  for (;;) {
    const auto system = [&](int fd) { return port::sys_sendmsg(fd, &message, flags); };
    ssize_t sent = to_unix_name ? system(call.fd()) : call.transfer(Direction::Write, 0, system);
    if (sent == -EAGAIN && to_unix_name) {
      sent = call.pause(pause);
      pause = doubled(pause, kLastPause);
      if (sent == 0) continue;
    }
    if (sent < 0) call.fail(sent);
    return static_cast<std::size_t>(sent);
  }
}

}  // namespace weft
