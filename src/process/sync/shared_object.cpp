#include "process/sync/shared_object.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <string>
#include <utility>

#include <weft/base/error.hpp>

#include "process/memory/process_stamp.hpp"
#include "process/sync/wait_board.hpp"

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

SharedObject::SharedObject(OwnedFd fd, std::size_t size)
    : fd_{std::move(fd)}, mapping_{fd_.get(), size, "a process lock or its like"} {}

std::shared_ptr<SharedObject> SharedObject::make(Kind kind, std::size_t bytes, const char* name) {
  static_assert(sizeof(Header) == kHeader);
  WaitBoard::ensure();  // children of any fork() that come from now on may hold it
  const std::size_t size = kHeader + bytes;
  OwnedFd fd = make_memory((std::string{"weft-"} + name_of(kind)).c_str(), size);
  std::shared_ptr<SharedObject> object{new SharedObject{std::move(fd), size}};
  Header& header = object->header();
  header.magic = kMagic;
  header.kind = kind;
  header.bytes = static_cast<std::uint32_t>(bytes);
  if (name) std::strncpy(header.name, name, kMostName);
  return object;
}

std::shared_ptr<SharedObject> SharedObject::receive(Incoming& in, Kind kind, std::size_t least_bytes) {
  OwnedFd fd = receive_file(in, std::string{"a process "} + name_of(kind));
  struct stat status {};
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  const bool is_whole = seals >= 0 && (seals & F_SEAL_SHRINK) && ::fstat(fd.get(), &status) == 0 &&
                        static_cast<std::size_t>(status.st_size) >= kHeader + least_bytes;
  const auto fail = [kind] {
    throw ProtocolError{std::string{"receive a process "} + name_of(kind) + ": the descriptor that came is not one's"};
  };
  if (!is_whole) fail();
  const auto size = static_cast<std::size_t>(status.st_size);
  std::shared_ptr<SharedObject> object{new SharedObject{std::move(fd), size}};
  const Header& header = object->header();
  if (header.magic != kMagic || header.kind != kind || header.bytes < least_bytes || header.bytes > size - kHeader ||
      header.name[kMostName] != '\0') {
    fail();
  }
  return object;
}

void SharedObject::send(Outgoing& out) const { send_file(out, fd_.get()); }

void SharedObject::send_file(Outgoing& out, int fd) {
  const std::uint64_t here = stamp_namespaces();
  out.attach(fd);
  out.write(&here, sizeof here);
}

OwnedFd SharedObject::receive_file(Incoming& in, const std::string& what) {
  OwnedFd fd = in.take_descriptor();
  std::uint64_t there = 0;
  in.read(&there, sizeof there);
  const std::uint64_t here = stamp_namespaces();
  if (there != 0 && here != 0 && there != here)
    throw ProtocolError{"receive " + what +
                        ": it comes from another pid or time namespace, where nobody could tell whether its owner lives; run both "
                        "processes in one (docker run --pid=container:NAME), or use a Connection"};
  return fd;
}

SharedObject::Header& SharedObject::header() const noexcept {
  return *reinterpret_cast<Header*>(mapping_.bytes().data());
}
void* SharedObject::bytes() const noexcept { return &header() + 1; }
std::size_t SharedObject::size() const noexcept { return header().bytes; }
const char* SharedObject::name() const noexcept { return header().name[0] != '\0' ? header().name : nullptr; }

}  // namespace weft::process::detail
