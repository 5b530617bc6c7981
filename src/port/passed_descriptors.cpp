#include "port/passed_descriptors.hpp"

#include <cstring>

namespace weft::port {

namespace {

int number_of(int fd) noexcept { return fd; }
int number_of(const OwnedFd& fd) noexcept { return fd.get(); }

template <class Fd>
void attach(msghdr& message, PassedRoom& room, std::span<const Fd> descriptors) noexcept {
  if (descriptors.empty()) return;
  message.msg_control = &room;
  message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
  std::memset(&room, 0, message.msg_controllen);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    const int fd = number_of(descriptors[i]);
    std::memcpy(CMSG_DATA(header) + i * sizeof fd, &fd, sizeof fd);
  }
}

}  // namespace

void attach_descriptors(msghdr& message, PassedRoom& room, std::span<const int> descriptors) noexcept {
  attach(message, room, descriptors);
}

void attach_descriptors(msghdr& message, PassedRoom& room, std::span<const OwnedFd> descriptors) noexcept {
  attach(message, room, descriptors);
}

void expect_descriptors(msghdr& message, PassedRoom& room) noexcept {
  message.msg_control = &room;
  message.msg_controllen = sizeof room;
}

bool take_descriptors(msghdr& message, std::vector<OwnedFd>& descriptors) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    descriptors.reserve(descriptors.size() + count);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  return !(message.msg_flags & MSG_CTRUNC);
}

}  // namespace weft::port
