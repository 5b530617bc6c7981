#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>

namespace weft::test {

/// Bytes for sendmsg() or recvmsg(), with room for one descriptor beside them.
struct DescriptorMessage {
  iovec piece;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};

  DescriptorMessage(void* bytes, std::size_t size) : piece{bytes, size} {
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
  }
  DescriptorMessage(const DescriptorMessage&) = delete;
  DescriptorMessage& operator=(const DescriptorMessage&) = delete;

  [[nodiscard]] unsigned char* descriptor() { return CMSG_DATA(CMSG_FIRSTHDR(&message)); }
};

}  // namespace weft::test
