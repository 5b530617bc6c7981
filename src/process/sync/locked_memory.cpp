#include <weft/detail/locked_memory.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/process/array.hpp>
#include <weft/process/value.hpp>

namespace weft::process::detail {

namespace {

struct Sent {
  std::uint64_t count;
  std::uint64_t element_size;
  std::uint64_t has_lock;
};

/// An empty one has memory too, so that there is something to be sent.
std::size_t checked_size(std::size_t count, std::size_t element_size) {
  if (count > static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) / element_size)
    throw std::invalid_argument{"process::Array of " + std::to_string(count) + " elements: no memory is that large"};
  return std::max<std::size_t>(count * element_size, 1);
}

}  // namespace

LockedMemory::LockedMemory(std::size_t count, std::size_t element_size, std::optional<RLock> lock)
    : count_{count}, element_size_{element_size}, memory_{checked_size(count, element_size)}, lock_{std::move(lock)} {}

// Here rather than in the header, where GCC 12 takes what an empty std::optional does not hold for used.
LockedMemory::LockedMemory(const LockedMemory&) = default;
LockedMemory& LockedMemory::operator=(const LockedMemory&) = default;
LockedMemory::~LockedMemory() = default;

LockedMemory::LockedMemory(Incoming& in, std::size_t element_size) : element_size_{element_size} {
  Sent sent;
  in.read(&sent, sizeof sent);
  if (sent.element_size != element_size)
    throw ProtocolError{"receiving a Value or Array with elements of " + std::to_string(element_size) +
                        " bytes: it was sent with elements of " + std::to_string(sent.element_size)};
  memory_ = Transfer<SharedMemory>::receive(in);
  if (sent.count > memory_.size() / element_size)
    throw ProtocolError{"receiving a Value or Array of " + std::to_string(sent.count) + " elements: its memory has " +
                        std::to_string(memory_.size()) + " bytes"};
  if (sent.has_lock != 0) lock_ = Transfer<RLock>::receive(in);
  count_ = static_cast<std::size_t>(sent.count);
}

void LockedMemory::fail_without_lock() {
  throw InvalidStateError{
      "locking a Value or Array that was made with no_lock: make it without, or use a process::Lock beside it"};
}

void LockedMemory::send(Outgoing& out, const LockedMemory& memory) {
  const Sent sent{memory.count_, memory.element_size_, memory.has_lock()};
  out.write(&sent, sizeof sent);
  Transfer<SharedMemory>::send(out, memory.memory_);
  if (memory.lock_) Transfer<RLock>::send(out, *memory.lock_);
}

void fail_value_count(std::size_t count) {
  throw ProtocolError{"receiving a Value: it was sent as an Array of " + std::to_string(count) + " elements"};
}

void fail_array_index(std::size_t size, std::ptrdiff_t index) {
  throw std::out_of_range{"process::Array of " + std::to_string(size) + " elements: there is none at " + std::to_string(index)};
}

void fail_array_text(std::size_t size, std::size_t text) {
  throw std::invalid_argument{"process::Array of " + std::to_string(size) + " characters: a text of " + std::to_string(text) +
                              " does not fit"};
}

}  // namespace weft::process::detail
