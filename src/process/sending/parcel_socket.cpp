// A parcel on its way: Head, with the first descriptors; a byte for every further kMostPassed of them; the bytes. The descriptors travel
// with the byte they are attached to, so that they arrive with it (unix(7)).

#include "process/sending/parcel_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>

#include <weft/base/error.hpp>
#include <weft/sync/scope.hpp>

#include "engine/descriptor.hpp"
#include "port/passed_descriptors.hpp"
#include "port/pidfd.hpp"
#include "port/socket_calls.hpp"

namespace weft::detail {

namespace {

using port::kMostPassed;

struct Head {
  std::uint64_t bytes = 0;
  std::uint64_t descriptors = 0;
};

class Sender {
 public:
  Sender(int socket, int reader) : socket_{socket}, reader_{reader} {}
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  ~Sender() {
    if (!descriptor_) return;
    descriptor_->leave();
    (void)descriptor_->release_fd();  // the caller's, as before
    descriptor_->dispose();
  }

  /// False: nobody will read it.
  bool send(std::span<const std::byte> bytes, std::span<const OwnedFd> descriptors, bool more) {
    port::PassedRoom room;
    while (!bytes.empty()) {
      iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
      msghdr message{};
      message.msg_iov = &piece;
      message.msg_iovlen = 1;
      port::attach_descriptors(message, room, descriptors);
      const ssize_t sent = transfer(message, more ? MSG_MORE : 0);
      if (sent == -EPIPE || sent == -ECONNRESET) return false;
      if (sent < 0) throw OSError{static_cast<int>(-sent), "send " + std::to_string(descriptors.size()) + " descriptors to a child process"};
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
      descriptors = {};
    }
    return true;
  }

 private:
  ssize_t transfer(const msghdr& message, int flags) {
    for (;;) {
      const std::uint64_t seen = descriptor_ ? descriptor_->readiness(Descriptor::Direction::Write) : 0;
      const ssize_t sent = port::sys_sendmsg(socket_, &message, MSG_DONTWAIT | flags);
      if (sent != -EAGAIN) return sent;
      if (!descriptor_) {  // most parcels fit into the socket at once
        descriptor_ = Descriptor::adopt(socket_, Descriptor::Nature::OtherStream);
        (void)descriptor_->enter();
        continue;
      }
      descriptor_->drained(seen, Descriptor::Direction::Write);
      const int result = descriptor_->wait(Descriptor::Direction::Write, Deadline::after(kBetweenLooks));
      if (result == -ETIMEDOUT && port::has_ended(reader_)) return -EPIPE;
      if (result < 0 && result != -ETIMEDOUT) return result;
    }
  }

  static constexpr std::chrono::milliseconds kBetweenLooks{100};

  const int socket_;
  const int reader_;
  Descriptor* descriptor_ = nullptr;
};

bool receive(int socket, std::span<std::byte> room, std::vector<OwnedFd>& descriptors) {
  port::PassedRoom passed;
  while (!room.empty()) {
    iovec piece{room.data(), room.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    port::expect_descriptors(message, passed);
    const ssize_t count = port::sys_recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (count <= 0) return false;
    if (!port::take_descriptors(message, descriptors)) throw OSError{EMFILE, "receive the descriptors that were sent to this process"};
    room = room.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

bool send_parcel(int socket, const process::Outgoing& parcel, int reader) {
  const Shield shield;
  const std::span<const OwnedFd> all = parcel.descriptors();
  const Head head{parcel.bytes().size(), all.size()};
  Sender sender{socket, reader};
  // Head and bytes of a small parcel in one call: half the time of two.
  const auto first = all.first(std::min(all.size(), kMostPassed));
  if (all.size() <= kMostPassed && head.bytes <= 4096) {
    std::byte together[sizeof head + 4096];
    std::memcpy(together, &head, sizeof head);
    if (head.bytes != 0) std::memcpy(together + sizeof head, parcel.bytes().data(), head.bytes);
    return sender.send({together, sizeof head + head.bytes}, first, false);
  }
  if (!sender.send(std::as_bytes(std::span{&head, 1}), first, true)) return false;
  constexpr std::byte kMore{1};
  for (std::size_t at = kMostPassed; at < all.size(); at += kMostPassed) {
    if (!sender.send({&kMore, 1}, all.subspan(at, std::min(kMostPassed, all.size() - at)), true)) return false;
  }
  return sender.send(parcel.bytes(), {}, false);
}

std::optional<ReceivedParcel> receive_parcel(int socket) {
  ReceivedParcel parcel;
  Head head;
  if (!receive(socket, std::as_writable_bytes(std::span{&head, 1}), parcel.descriptors)) return std::nullopt;
  while (parcel.descriptors.size() < head.descriptors) {
    std::byte more;
    if (!receive(socket, {&more, 1}, parcel.descriptors)) return std::nullopt;
  }
  parcel.bytes.resize(head.bytes);
  if (!receive(socket, parcel.bytes, parcel.descriptors)) return std::nullopt;
  return parcel;
}

}  // namespace weft::detail
