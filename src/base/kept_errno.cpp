#include "base/kept_errno.hpp"

#include <cerrno>

namespace weft {

// The fibers of a thread take turns with its errno, which ThreadSanitizer would call a race.
__attribute__((no_sanitize("thread"))) KeptErrno::KeptErrno() noexcept : error_{errno} {}
__attribute__((no_sanitize("thread"))) KeptErrno::~KeptErrno() { errno = error_; }

}  // namespace weft
