#include <weft/process/shared_memory.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <stdexcept>
#include <utility>

#include <weft/base/error.hpp>

#include "engine/immortal.hpp"
#include "process/memory/memory.hpp"
#include "process/memory/own_names.hpp"
#include "process/memory/segment.hpp"

namespace weft::process {

using namespace detail;

namespace {

std::string object_of(const std::string& name) { return "shared memory \"" + name + '"'; }

/// Without the slash in front, which Python adds and takes off as well.
std::string checked_name(std::string_view name) {
  if (name.starts_with('/')) name.remove_prefix(1);
  if (name.empty() || name == "." || name == ".." || name.size() > NAME_MAX || name.find('/') != name.npos ||
      name.find('\0') != name.npos)
    throw std::invalid_argument{object_of(std::string{name}) + ": a name is 1 to 255 characters, without slashes but for one in front"};
  return std::string{name};
}

std::string generated_name() {
  unsigned char random[4];
  while (::getrandom(random, sizeof random, 0) < 0 && errno == EINTR) {
  }
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string name = "psm_";
  for (const unsigned char byte : random) {
    name += kDigits[byte >> 4];
    name += kDigits[byte & 15];
  }
  return name;
}

void require_size(std::size_t size) {
  if (size == 0) throw std::invalid_argument{"shared memory of 0 bytes: there is nothing to share"};
}

[[noreturn]] void fail_create(int error, const std::string& name) {
  throw OSError{error, "creating", object_of(name) + (error == EEXIST ? " (attach to it, or remove what was left over with "
                                                                        "SharedMemory::unlink)"
                                                                      : "")};
}

/// A new name, or as many made up as it takes. `make`: an errno value; 0: it was made.
template <class Make>
void make_name(std::string& name, Make make) {
  const bool is_made_up = name.empty();
  for (;;) {
    if (is_made_up) name = generated_name();
    const int error = make("/dev/shm/" + name);
    if (error == 0) return;
    if (!is_made_up || error != EEXIST) fail_create(error, name);
  }
}

/// First the memory, then its name: nobody sees it half made, and what is killed in between leaves nothing. Whoever is to remove the name is
/// told before it is there. Nothing: not where this system or its sandbox has no files without names, or none that get one later.
OwnedFd create_whole(std::string& name, std::size_t size, SharedMemoryOptions options) {
  static constinit std::atomic<bool> is_possible{true};
  if (!is_possible.load(std::memory_order_relaxed)) return {};
  OwnedFd fd{::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, options.mode)};
  if (!fd) return {};
  if (!name.empty() && ::access(("/dev/shm/" + name).c_str(), F_OK) == 0) fail_create(EEXIST, name);  // not after seconds of making pages
  reserve_memory(fd.get(), 0, size, name.empty() ? "shared memory with a made-up name" : object_of(name));
  const ino_t inode = inode_of(fd.get());
  const std::string file = "/proc/thread-self/fd/" + std::to_string(fd.get());
  make_name(name, [&](const std::string& path) {
    if (!options.keep) OwnNames::all().add(name, inode);
    if (::linkat(AT_FDCWD, file.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      if (!options.keep) OwnNames::all().confirm(name, inode);
      return 0;
    }
    const int error = errno;
    if (!options.keep) OwnNames::all().take_back(name, inode);
    if (error == EEXIST) return error;
    is_possible.store(false, std::memory_order_relaxed);
    fd.reset();
    return 0;
  });
  return fd;
}

OwnedFd create_in_steps(std::string& name, std::size_t size, SharedMemoryOptions options) {
  OwnedFd fd;
  make_name(name, [&](const std::string& path) {
    fd.reset(::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, options.mode));
    return fd ? 0 : errno;
  });
  try {
    if (!options.keep) OwnNames::all().add(name, inode_of(fd.get()));  // before its pages are made, which takes time, and memory
    reserve_memory(fd.get(), 0, size, object_of(name));
    return fd;
  } catch (...) {
    OwnNames::all().take_back(name, inode_of(fd.get()));
    throw;
  }
}

}  // namespace

std::string Segment::object() const { return name_.empty() ? "anonymous shared memory" : object_of(name_); }

SharedMemory::SharedMemory(std::shared_ptr<Segment> segment) noexcept : segment_{std::move(segment)}, bytes_{segment_->bytes()} {}

SharedMemory::SharedMemory(std::size_t size) {
  require_size(size);
  segment_ = std::make_shared<Segment>(make_memory("weft-shared-memory", size), size, std::string{});
  bytes_ = segment_->bytes();
}

SharedMemory SharedMemory::create(std::string_view name, std::size_t size, SharedMemoryOptions options) {
  require_size(size);
  std::string own = name.empty() ? std::string{} : checked_name(name);
  std::string made = own;
  OwnedFd fd = create_whole(made, size, options);
  if (!fd) fd = create_in_steps(made = own, size, options);
  const ino_t inode = inode_of(fd.get());
  try {
    return SharedMemory{std::make_shared<Segment>(std::move(fd), size, made)};
  } catch (...) {
    OwnNames::all().take_back(made, inode);
    throw;
  }
}

SharedMemory SharedMemory::attach(std::string_view name) {
  std::string own = checked_name(name);
  OwnedFd fd{::shm_open(("/" + own).c_str(), O_RDWR | O_CLOEXEC, 0)};
  if (!fd) {
    const int error = errno;
    throw OSError{error, "attaching to", object_of(own) + (error == ENOENT ? " (nobody has created it, or it was unlinked)" : "")};
  }
  const std::size_t size = size_of_memory(fd.get(), object_of(own));
  if (size == 0) throw OSError{EINVAL, "attaching to", object_of(own) + " (it has no bytes: its creator has not got so far, or died)"};
  return SharedMemory{std::make_shared<Segment>(std::move(fd), size, std::move(own))};
}

bool SharedMemory::unlink(std::string_view name) {
  const std::string own = checked_name(name);
  const bool unlinked = ::shm_unlink(("/" + own).c_str()) == 0;
  if (const int error = errno; !unlinked && error != ENOENT) throw OSError{error, "unlinking", object_of(own)};
  OwnNames::all().remove(own);
  return unlinked;
}

const std::string& SharedMemory::name() const noexcept {
  static const weft::detail::Immortal<std::string> none;
  return segment_ ? segment_->name() : none.value;
}

int SharedMemory::descriptor() const noexcept { return segment_ ? segment_->fd() : -1; }

void SharedMemory::close() noexcept {
  bytes_ = {};
  segment_.reset();
}

void SharedMemory::unlink() {
  if (segment_ && !segment_->name().empty()) (void)unlink(segment_->name());
}

std::size_t SharedMemory::check_view(std::size_t offset, std::size_t count, std::size_t size, std::size_t alignment) const {
  const std::size_t room = offset <= bytes_.size() ? (bytes_.size() - offset) / size : 0;
  if (offset > bytes_.size() || (count != std::dynamic_extent && count > room))
    throw std::out_of_range{(segment_ ? segment_->object() : "closed shared memory") + " of " + std::to_string(bytes_.size()) +
                            " bytes: it has no room for " + (count == std::dynamic_extent ? "any" : std::to_string(count)) + " of " +
                            std::to_string(size) + " bytes at offset " + std::to_string(offset)};
  if (offset % alignment != 0)
    throw std::invalid_argument{segment_->object() + ": offset " + std::to_string(offset) + " is not a multiple of " +
                                std::to_string(alignment) + ", as this type needs"};
  return count == std::dynamic_extent ? room : count;
}

// ---- to another process -----------------------------------------------------------------------------------------------

void Transfer<SharedMemory>::send(Outgoing& out, const SharedMemory& memory) {
  if (!memory) throw InvalidStateError{"sending shared memory that was closed"};
  const std::string& name = memory.name();
  const std::uint64_t sizes[] = {memory.size(), name.size()};
  out.attach(memory.descriptor());
  out.write(sizes, sizeof sizes);
  out.write(name.data(), name.size());
}

SharedMemory Transfer<SharedMemory>::receive(Incoming& in) {
  std::uint64_t sizes[2];
  in.read(sizes, sizeof sizes);
  const auto name = in.view(sizes[1]);
  OwnedFd fd = in.take_descriptor();
  // What lies beyond the end of the file is a SIGBUS.
  if (sizes[0] == 0 || sizes[0] > size_of_memory(fd.get(), "received shared memory"))
    throw ProtocolError{"receiving shared memory: its descriptor has not the " + std::to_string(sizes[0]) + " bytes it should have"};
  return SharedMemory{std::make_shared<Segment>(std::move(fd), sizes[0],
                                                std::string{reinterpret_cast<const char*>(name.data()), name.size()})};
}

}  // namespace weft::process
