#include "process/memory/memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>

#include <weft/base/error.hpp>

#include "base/kept_errno.hpp"

namespace weft::process::detail {

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kHugePage = 2 * kMiB;
// From here on, a look at what the machine has costs little beside what is asked for.
constexpr std::size_t kWorthALook = 64 * kMiB;
// A signal makes fallocate() give back all that one call got: pieces, so that frequent signals do not stop it for ever.
constexpr std::size_t kPiece = 16 * kMiB;

/// "12345678 bytes (11.8 MiB)" would be no clearer: whole MiB where they say it.
std::string amount(std::uint64_t bytes) {
  return bytes < kMiB ? std::to_string(bytes) + " bytes" : std::to_string(bytes / kMiB) + " MiB";
}

/// What the kernel believes can be had without killing anybody for it. The largest number: not known.
std::uint64_t available_memory() noexcept {
  constexpr auto kUnknown = std::numeric_limits<std::uint64_t>::max();
  const OwnedFd file{::open("/proc/meminfo", O_RDONLY | O_CLOEXEC)};
  char text[4096];
  const auto got = file ? ::read(file.get(), text, sizeof text - 1) : -1;
  if (got <= 0) return kUnknown;
  text[got] = '\0';
  const auto field = [&text](const char* name) -> std::uint64_t {
    const char* const at = std::strstr(text, name);
    return at ? std::strtoull(at + std::strlen(name), nullptr, 10) * 1024 : 0;
  };
  const std::uint64_t free = field("MemAvailable:");
  return free == 0 ? kUnknown : free + field("SwapFree:");
}

/// A limit of the file system's, such as that of /dev/shm; a memfd has none.
std::uint64_t available_space(int fd) noexcept {
  struct statfs about {};
  if (::fstatfs(fd, &about) != 0 || about.f_blocks == 0) return std::numeric_limits<std::uint64_t>::max();
  return std::uint64_t{about.f_bavail} * static_cast<std::uint64_t>(about.f_bsize);
}

rlim_t file_size_limit() noexcept {
  rlimit limit{};
  return ::getrlimit(RLIMIT_FSIZE, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

[[noreturn]] void fail_to_reserve(int error, int fd, std::size_t size, const std::string& object) {
  std::string advice;
  if (const auto space = available_space(fd); error == ENOSPC && space < size)
    advice = " (its file system has " + amount(space) +
             " left: remove what is left over in /dev/shm, enlarge it with mount -o remount,size=, or use anonymous memory)";
  else if (error == ENOSPC || error == ENOMEM)
    advice = " (the machine has " + amount(available_memory()) + " left: ask for less, or add memory or swap space)";
  throw OSError{error, "reserving " + amount(size) + " for " + object + advice};
}

/// Before anything is taken: a kernel that is asked page by page gives, until it has to kill somebody.
void check_room(int fd, std::size_t size, const std::string& object) {
  if (available_space(fd) < size) fail_to_reserve(ENOSPC, fd, size, object);
  if (size >= kWorthALook && available_memory() < size) fail_to_reserve(ENOMEM, fd, size, object);
}

}  // namespace

OwnedFd make_memory(const char* label, std::size_t size, bool fixed) {
  const std::string object = std::string{"anonymous shared memory "} + label;
  OwnedFd fd{::memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!fd) throw OSError{errno, "creating " + object};
  reserve_memory(fd.get(), 0, size, object);
  // Nobody who was given the descriptor can cut it under those who use it.
  (void)::fcntl(fd.get(), F_ADD_SEALS, fixed ? F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL : F_SEAL_SHRINK);
  return fd;
}

bool is_within_file_size_limit(std::size_t size) noexcept { return size <= file_size_limit(); }

void check_file_size_limit(std::size_t size, std::size_t more, const std::string& object) {
  if (is_within_file_size_limit(size)) return;
  throw OSError{EFBIG, "reserving " + amount(more) + " for " + object + " (files of this process may have " + amount(file_size_limit()) +
                           ", and shared memory is one: raise the limit, ulimit -f)"};
}

void reserve_memory(int fd, std::size_t from, std::size_t to, const std::string& object) {
  if (to > static_cast<std::size_t>(std::numeric_limits<off_t>::max())) fail_to_reserve(EFBIG, fd, to - from, object);
  const std::size_t size = size_of_memory(fd, object);
  if (to > size) check_file_size_limit(to, to - from, object);
  check_room(fd, to - from, object);
  // Beyond its end first, then all of it at once: whoever opens it by its name meanwhile finds no part of it that looks like the whole.
  // Killed in between, it is as long as it was.
  for (std::size_t at = from; at < to;) {
    const std::size_t piece = std::min(to - at, kPiece);
    if (::fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at), static_cast<off_t>(piece)) == 0)
      at += piece;
    else if (errno != EINTR)
      fail_to_reserve(errno, fd, to - at, object);
  }
  if (to > size && ::ftruncate(fd, static_cast<off_t>(to)) != 0) fail_to_reserve(errno, fd, to - from, object);
}

std::size_t size_of_memory(int fd, const std::string& object) {
  struct stat about {};
  if (::fstat(fd, &about) != 0) throw OSError{errno, "asking for the size of " + object};
  return static_cast<std::size_t>(about.st_size);
}

Mapping::Mapping(int fd, std::size_t size, const std::string& object) {
  void* const begin = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (begin == MAP_FAILED) throw OSError{errno, "mapping " + amount(size) + " of " + object};
  bytes_ = {static_cast<std::byte*>(begin), size};
}

Mapping::~Mapping() {
  if (!bytes_.data()) return;
  const KeptErrno kept;
  ::munmap(bytes_.data(), bytes_.size());
}

void Mapping::enlarge(std::size_t size, const std::string& object) {
  void* const begin = ::mremap(bytes_.data(), bytes_.size(), size, MREMAP_MAYMOVE);
  if (begin == MAP_FAILED) throw OSError{errno, "mapping " + amount(size) + " of " + object};
  bytes_ = {static_cast<std::byte*>(begin), size};
}

void advise_huge_pages(void* begin, std::size_t size) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  const auto first = (address + kHugePage - 1) / kHugePage * kHugePage;
  const auto last = (address + size) / kHugePage * kHugePage;
  if (first >= last) return;
  const KeptErrno kept;
  (void)::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
}

}  // namespace weft::process::detail
