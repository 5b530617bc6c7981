// What ends a descriptor. On any thread: whoever waits for it on a fiber must not go on waiting, least of all for
// the next one that gets the same number.

#include <fcntl.h>
#include <linux/close_range.h>
#include <unistd.h>

#include <climits>

#include "patch/call.hpp"
#include "patch/real.hpp"

namespace weft::patch {

WEFT_PATCH_REAL(close);
WEFT_PATCH_REAL(dup2);
WEFT_PATCH_REAL(dup3);
WEFT_PATCH_REAL(close_range);
WEFT_PATCH_REAL(closefrom);

namespace {

class Closing {
 public:
  Closing(unsigned first, unsigned last) noexcept : first_{first}, last_{last} {
    if (engine()) engine()->closing(first_, last_);
  }
  ~Closing() {
    const int error = errno;
    if (engine()) engine()->closed(first_, last_);
    errno = error;
  }
  Closing(const Closing&) = delete;
  Closing& operator=(const Closing&) = delete;

 private:
  const unsigned first_;
  const unsigned last_;
};

bool is_open(int fd) noexcept {
  return ::fcntl(fd, F_GETFD) >= 0;
}

}  // namespace

}  // namespace weft::patch

using namespace weft::patch;

WEFT_PATCHES int close(int fd) {
  if (fd < 0) return real_close(fd);
  const Closing closing{static_cast<unsigned>(fd), static_cast<unsigned>(fd)};
  return real_close(fd);
}

WEFT_PATCHES int dup2(int from, int to) noexcept {
  if (to < 0 || from == to || !is_open(from)) return real_dup2(from, to);
  const Closing closing{static_cast<unsigned>(to), static_cast<unsigned>(to)};
  return real_dup2(from, to);
}

WEFT_PATCHES int dup3(int from, int to, int flags) noexcept {
  if (to < 0 || from == to || !is_open(from)) return real_dup3(from, to, flags);
  const Closing closing{static_cast<unsigned>(to), static_cast<unsigned>(to)};
  return real_dup3(from, to, flags);
}

WEFT_PATCHES int close_range(unsigned first, unsigned last, int flags) noexcept {
  if (first > last || (flags & CLOSE_RANGE_CLOEXEC)) return real_close_range(first, last, flags);
  const Closing closing{first, last};
  return real_close_range(first, last, flags);
}

WEFT_PATCHES void closefrom(int first) noexcept {
  const Closing closing{first < 0 ? 0U : static_cast<unsigned>(first), UINT_MAX};
  real_closefrom(first);
}
