#pragma once

#include <poll.h>

#include <weft/base/deadline.hpp>

#include "patch/real.hpp"

namespace weft::patch {

WEFT_PATCH_REAL(poll);

/// For poll(2): rounded up, so that nothing ends early; -1 for never.
[[nodiscard]] int milliseconds_until(Deadline deadline) noexcept;

}  // namespace weft::patch
