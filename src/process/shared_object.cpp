#include "process/shared_object.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <string>

#include <weft/base/error.hpp>

#include "process/wait_board.hpp"

namespace weft::process::detail {

struct SharedObject::Header {
  std::uint64_t magic;
  Kind kind;
  std::uint32_t bytes;  // that follow
  char name[kMostName + 1];
};

namespace {

constexpr std::uint64_t kMagic = 0x31636E7973746677;  // "wftsync1"
constexpr std::size_t kHeader = 64;

const char* name_of(SharedObject::Kind kind) noexcept {
  static constexpr const char* kNames[] = {"", "Lock", "RLock", "Semaphore", "Condition", "Event", "Barrier"};
  return kNames[static_cast<std::uint32_t>(kind)];
}

}  // namespace

std::shared_ptr<SharedObject> SharedObject::map(OwnedFd fd, std::size_t size, const char* doing) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) throw OSError{errno, doing, "the memory of a process lock or its like"};
  return std::shared_ptr<SharedObject>{new SharedObject{std::move(fd), static_cast<Header*>(memory), size}};
}

std::shared_ptr<SharedObject> SharedObject::make(Kind kind, std::size_t bytes, const char* name) {
  static_assert(sizeof(Header) == kHeader);
  const std::string what = std::string{"a process "} + name_of(kind);
  WaitBoard::ensure();  // children of any fork() that come from now on may hold it
  OwnedFd fd{::memfd_create((std::string{"weft-"} + name_of(kind)).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!fd) throw OSError{errno, "make the memory of", what};
  // Its pages now, as a write that finds no memory later is a SIGBUS; its size for ever, as a receiver relies on it.
  const std::size_t size = kHeader + bytes;
  if (::fallocate(fd.get(), 0, 0, static_cast<off_t>(size)) != 0) throw OSError{errno, "reserve the memory of", what};
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    throw OSError{errno, "seal the memory of", what};
  }
  auto object = map(std::move(fd), size, "map");
  Header& header = *object->header_;
  header.magic = kMagic;
  header.kind = kind;
  header.bytes = static_cast<std::uint32_t>(bytes);
  if (name) std::strncpy(header.name, name, kMostName);
  return object;
}

std::shared_ptr<SharedObject> SharedObject::receive(Incoming& in, Kind kind, std::size_t least_bytes) {
  OwnedFd fd = in.take_descriptor();
  struct stat status {};
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  const bool is_whole = seals >= 0 && (seals & F_SEAL_SHRINK) && ::fstat(fd.get(), &status) == 0 &&
                        static_cast<std::size_t>(status.st_size) >= kHeader + least_bytes;
  const auto fail = [kind] {
    throw ProtocolError{std::string{"receive a process "} + name_of(kind) + ": the descriptor that came is not one's"};
  };
  if (!is_whole) fail();
  auto object = map(std::move(fd), static_cast<std::size_t>(status.st_size), "map");
  const Header& header = *object->header_;
  if (header.magic != kMagic || header.kind != kind || header.bytes < least_bytes ||
      header.bytes > object->mapped_ - kHeader || header.name[kMostName] != '\0') {
    fail();
  }
  return object;
}

void SharedObject::send(Outgoing& out) const { out.attach(fd_.get()); }

SharedObject::~SharedObject() {
  const int error = errno;
  ::munmap(header_, mapped_);
  errno = error;
}

void* SharedObject::bytes() const noexcept { return header_ + 1; }
std::size_t SharedObject::size() const noexcept { return header_->bytes; }
const char* SharedObject::name() const noexcept { return header_->name[0] != '\0' ? header_->name : nullptr; }

}  // namespace weft::process::detail
