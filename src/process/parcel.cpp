#include <weft/process/parcel.hpp>

#include <algorithm>
#include <string>

#include <weft/base/error.hpp>

namespace weft::process {

void Outgoing::grow(std::size_t size) {
  const std::size_t capacity = std::max(size_ + size, std::max<std::size_t>(256, 2 * capacity_));
  auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
  if (size_ != 0) std::memcpy(larger.get(), begin_, size_);
  heap_ = std::move(larger);
  begin_ = heap_.get();
  capacity_ = capacity;
}

OwnedFd Incoming::take_descriptor() {
  if (taken_ == descriptors_.size())
    throw ProtocolError{"receiving a value: it needs descriptor " + std::to_string(taken_ + 1) + ", and " +
                        std::to_string(descriptors_.size()) + " came with it"};
  return std::move(descriptors_[taken_++]);
}

void Incoming::fail_truncated(std::size_t wanted) const {
  throw ProtocolError{"receiving a value: it needs " + std::to_string(wanted) + " more bytes, and " +
                      std::to_string(rest_.size()) + " are left; was it sent as another type?"};
}

void Transfer<OwnedFd>::send(Outgoing& out, const OwnedFd& fd) {
  const bool there = static_cast<bool>(fd);
  out.write(&there, 1);
  if (there) out.attach(fd.get());
}

OwnedFd Transfer<OwnedFd>::receive(Incoming& in) {
  return in.view(1)[0] == std::byte{0} ? OwnedFd{} : in.take_descriptor();
}

}  // namespace weft::process
