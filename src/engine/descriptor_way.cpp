#include <weft/detail/descriptor_way.hpp>

#include <poll.h>

#include <cerrno>
#include <utility>

#include <weft/base/error.hpp>

#include "engine/descriptor.hpp"
#include "port/socket_calls.hpp"

namespace weft::detail {

namespace {

using Direction = Descriptor::Direction;

Direction direction_of(DescriptorWay::Wanted wanted) {
  return wanted == DescriptorWay::Wanted::Readable ? Direction::Read : Direction::Write;
}

}  // namespace

// Asks the kernel: what is remembered of readiness may be out of date either way. Between enter() and leave().
bool DescriptorWay::poll_once() noexcept {
  const Direction direction = direction_of(wanted_);
  const std::uint64_t seen = descriptor_->readiness(direction);
  pollfd polled{descriptor_->fd(), static_cast<short>(wanted_ == Wanted::Readable ? POLLIN : POLLOUT), 0};
  if (port::sys_ppoll(&polled, 1, 0) > 0) return true;
  descriptor_->drained(seen, direction);
  return false;
}

bool DescriptorWay::try_now() {
  descriptor_ = find();
  if (failure_ == 0 && (!descriptor_ || !descriptor_->enter())) failure_ = EBADF;
  if (failure_ != 0) {
    const char* operation = wanted_ == Wanted::Readable ? "select on_readable of" : "select on_writable of";
    throw OSError{std::exchange(failure_, 0), operation, object()};
  }
  const bool ready = poll_once();
  descriptor_->leave();
  return ready;
}

bool DescriptorWay::enlist() noexcept {
  if (!descriptor_->enter()) return false;
  const int result = descriptor_->enlist(direction_of(wanted_), entry);
  if (result == 0) {
    if (!entry.context->is_fiber()) {
      fd = descriptor_->fd();
      events = Descriptor::poll_events(direction_of(wanted_));
    }
    return true;
  }
  if (result < 0 && result != -EBADF) failure_ = -result;
  descriptor_->leave();
  return false;
}

void DescriptorWay::withdraw() noexcept {
  descriptor_->withdraw(direction_of(wanted_), entry);
  descriptor_->leave();
}

// Somebody else may have read what came: then it is not readable after all.
bool DescriptorWay::accept(Outcome how) noexcept {
  descriptor_->withdraw(direction_of(wanted_), entry);  // a thread that polled is still linked
  const bool ready = how != kClosed && poll_once();
  if (ready) descriptor_->note_ready(direction_of(wanted_));
  descriptor_->leave();
  return ready;
}

}  // namespace weft::detail
