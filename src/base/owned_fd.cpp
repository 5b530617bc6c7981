#include <weft/base/owned_fd.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include <weft/base/error.hpp>

#include "base/kept_errno.hpp"

namespace weft {

OwnedFd OwnedFd::duplicate(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) throw OSError{errno, "duplicating descriptor " + std::to_string(fd)};
  return OwnedFd{copy};
}

void OwnedFd::reset(int fd) noexcept {
  const int old = std::exchange(fd_, fd);
  if (old < 0) return;
  const KeptErrno kept;
  ::close(old);
}

}  // namespace weft
