#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include <weft/process/parcel.hpp>

#include "support/descriptor_message.hpp"

namespace weft::test {

/// What a process gets that is sent the value.
template <class T>
[[nodiscard]] T sent(const T& value) {
  process::Outgoing out;
  process::Transfer<T>::send(out, value);
  process::Incoming in{out.bytes(), out.take_descriptors()};
  return process::Transfer<T>::receive(in);
}

/// A way to a child that was made before what is sent to it, so that it cannot have inherited that.
class Parcels {
 public:
  Parcels() {
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_) != 0) throw std::system_error{errno, std::generic_category()};
  }
  Parcels(const Parcels&) = delete;
  Parcels& operator=(const Parcels&) = delete;
  ~Parcels() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }

  template <class T>
  void send(const T& value) {
    process::Outgoing out;
    process::Transfer<T>::send(out, value);
    std::vector<std::byte> bytes(out.bytes().begin(), out.bytes().end());
    bytes.push_back({});  // a message is never empty
    DescriptorMessage message{bytes.data(), bytes.size()};
    const int fd = out.descriptors().at(0).get();
    std::memcpy(message.descriptor(), &fd, sizeof fd);
    if (::sendmsg(ends_[0], &message.message, 0) < 0) throw std::system_error{errno, std::generic_category()};
  }
  template <class T>
  [[nodiscard]] T receive() {
    std::byte bytes[256];
    DescriptorMessage message{bytes, sizeof bytes};
    const auto size = ::recvmsg(ends_[1], &message.message, MSG_CMSG_CLOEXEC);
    if (size <= 0) throw std::system_error{errno, std::generic_category()};
    int fd = -1;
    std::memcpy(&fd, message.descriptor(), sizeof fd);
    std::vector<OwnedFd> descriptors;
    descriptors.emplace_back(fd);
    process::Incoming in{std::span{bytes, static_cast<std::size_t>(size) - 1}, std::move(descriptors)};
    return process::Transfer<T>::receive(in);
  }

 private:
  int ends_[2];
};

}  // namespace weft::test
