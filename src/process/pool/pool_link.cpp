#include "process/pool/pool_link.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

#include <weft/base/error.hpp>

#include "port/passed_descriptors.hpp"
#include "process/memory/memory.hpp"

namespace weft::detail {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kBoardBytes = (sizeof(PoolBoard) + kPage - 1) / kPage * kPage;

}  // namespace

SharedPages::SharedPages(const char* label, std::size_t size) : fd_{::memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING)} {
  if (!fd_) throw OSError{errno, std::string{"making shared memory for "} + label};
  process::detail::check_file_size_limit(size, size, label);
  if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) throw OSError{errno, std::string{"sizing shared memory for "} + label};
  // A task cannot cut it under the pool: a worker by fork has what is open here.
  (void)::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  map(size);
}

SharedPages::SharedPages(OwnedFd fd, std::size_t size) : fd_{std::move(fd)} { map(size); }

void SharedPages::map(std::size_t size) {
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (at == MAP_FAILED) throw OSError{errno, "mapping shared memory of " + std::to_string(size) + " bytes"};
  // A child that somebody forks has no business here, and cannot do harm.
  ::madvise(at, size, MADV_DONTFORK);
  data_ = static_cast<std::byte*>(at);
  size_ = size;
}

SharedPages::SharedPages(SharedPages&& other) noexcept
    : fd_{std::move(other.fd_)},
      data_{std::exchange(other.data_, nullptr)},
      size_{std::exchange(other.size_, 0)},
      process_{other.process_} {}

SharedPages& SharedPages::operator=(SharedPages&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(process_, other.process_);
  return *this;
}

SharedPages::~SharedPages() {
  // In a forked child it is not there, and perhaps something else is.
  if (data_ && process_ == this_process()) ::munmap(data_, size_);
}

std::size_t PoolLink::bytes() noexcept { return kBoardBytes + kPoolSlots * kAreaBytes; }

std::span<std::byte> PoolLink::area(unsigned number) const noexcept {
  return {pages_.data() + kBoardBytes + number % kPoolSlots * kAreaBytes, kAreaBytes};
}

int PoolLink::send_descriptors(std::uint64_t number, std::span<const int> descriptors) noexcept {
  iovec bytes{&number, sizeof number};
  port::PassedRoom room;
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  port::attach_descriptors(message, room, descriptors);
  for (;;) {
    if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

std::vector<OwnedFd> PoolLink::receive_descriptors(std::uint64_t number, std::size_t count) {
  for (;;) {
    std::uint64_t arrived = 0;
    iovec bytes{&arrived, sizeof arrived};
    port::PassedRoom room;
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    port::expect_descriptors(message, room);
    const ssize_t size = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) throw OSError{errno, "receiving the descriptors of a task"};
    std::vector<OwnedFd> received;
    (void)port::take_descriptors(message, received);  // counted below
    if (size != sizeof arrived || arrived > number) throw ProtocolError{"receiving the descriptors of a task: those of another came"};
    if (arrived < number) continue;
    if (received.size() == count) return received;
    throw OSError{EMFILE, "receiving " + std::to_string(count) + " descriptors, of which " + std::to_string(received.size()) +
                              " had room; raise the limit (ulimit -n), or send fewer"};
  }
}

}  // namespace weft::detail
