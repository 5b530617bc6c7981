#include <weft/sync/rlock.hpp>

#include <utility>

#include <weft/base/error.hpp>

namespace weft {

void RLock::fail_not_held() const {
  throw InvalidStateError{"unlock RLock " + lock_.label_.text() + ": the caller does not hold it"};
}

std::uint64_t RLock::release_all() {
  const std::uint64_t depth = std::exchange(depth_, 0);
  lock_.unlock();
  return depth;
}

void RLock::take_again(std::uint64_t depth) {
  lock_.lock_again();
  depth_ = depth;
}

}  // namespace weft
