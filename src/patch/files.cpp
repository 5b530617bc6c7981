// read and write, of whatever is behind the descriptor.

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <memory>
#include <new>

#include "patch/call.hpp"
#include "patch/real.hpp"
#include "patch/rest.hpp"
#include "patch/sockets.hpp"

extern "C" {
// Declared by the headers only for programs that are compiled to be checked.
ssize_t __read_chk(int fd, void* buffer, std::size_t size, std::size_t room);
}

namespace weft::patch {

WEFT_PATCH_REAL(read);
WEFT_PATCH_REAL(__read_chk);
WEFT_PATCH_REAL(readv);
WEFT_PATCH_REAL(write);
WEFT_PATCH_REAL(writev);
WEFT_PATCH_REAL(sendfile);
WEFT_PATCH_REAL(sendfile64);

namespace {

/// Disks are no matter of waiting: what the kernel has to fetch it fetches, for fibers as for threads.
bool is_on_disk(int fd) noexcept {
  struct stat info {};
  if (::fstat(fd, &info) < 0) return true;  // let the call itself say why
  return S_ISREG(info.st_mode) || S_ISDIR(info.st_mode) || S_ISBLK(info.st_mode);
}

/// Kernels before 6.5 know RWF_NOWAIT for few kinds of files; terminals do not know it at all.
bool cannot_be_asked_not_to_block() noexcept {
  return errno == EOPNOTSUPP || errno == ENOSYS;
}

ssize_t read_file(const Call& call, int fd, const iovec* vectors, int count) noexcept {
  if (is_on_disk(fd)) return real_readv(fd, vectors, count);
  Waits waits{call, fd, POLLIN, 0};
  const ssize_t size = waits.repeat([&] { return ::preadv2(fd, vectors, count, -1, RWF_NOWAIT); });
  if (size >= 0 || !cannot_be_asked_not_to_block()) return size;
  return waits.when_ready([=] { return real_readv(fd, vectors, count); });
}

// As read() of a socket: recv() without flags, but that nothing is read when nothing is asked for.
ssize_t read_vectors(const Call& call, int fd, const iovec* vectors, int count) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(vectors);
  message.msg_iovlen = static_cast<std::size_t>(count);
  const ssize_t size = receive_message(call, fd, &message, 0);
  return size >= 0 || errno != ENOTSOCK ? size : read_file(call, fd, vectors, count);
}

/// On a helper thread signals are blocked: the one that goes with EPIPE is taken away there and raised by whoever
/// wrote.
ssize_t write_on_helper(Waits& waits, int fd, const iovec* vectors, int count) noexcept {
  const ssize_t size = waits.when_ready([=] {
    const ssize_t written = real_writev(fd, vectors, count);
    if (written < 0 && errno == EPIPE) {
      sigset_t signal_of_pipe;
      ::sigemptyset(&signal_of_pipe);
      ::sigaddset(&signal_of_pipe, SIGPIPE);
      const timespec no_time{0, 0};
      ::sigtimedwait(&signal_of_pipe, nullptr, &no_time);
      errno = EPIPE;
    }
    return written;
  });
  if (size < 0 && errno == EPIPE && waits.may_wait()) {
    ::raise(SIGPIPE);
    errno = EPIPE;
  }
  return size;
}

ssize_t write_file(const Call& call, int fd, const iovec* vectors, int count) noexcept {
  if (is_on_disk(fd)) return real_writev(fd, vectors, count);
  Waits waits{call, fd, POLLOUT, 0};
  const ssize_t first = waits.repeat([&] { return ::pwritev2(fd, vectors, count, -1, RWF_NOWAIT); });
  if (first < 0) return cannot_be_asked_not_to_block() ? write_on_helper(waits, fd, vectors, count) : first;
  auto written = static_cast<std::size_t>(first);
  const std::size_t total = Rest::bytes_of(vectors, static_cast<std::size_t>(count));
  if (written >= total || !waits.may_wait()) return first;
  Rest rest{vectors, static_cast<std::size_t>(count)};
  if (!rest) return first;
  rest.skip(written);
  while (written < total) {
    const ssize_t more =
        waits.repeat([&] { return ::pwritev2(fd, rest.begin(), static_cast<int>(rest.count()), -1, RWF_NOWAIT); });
    if (more < 0) break;
    rest.skip(static_cast<std::size_t>(more));
    written += static_cast<std::size_t>(more);
  }
  return static_cast<ssize_t>(written);
}

ssize_t write_vectors(const Call& call, int fd, const iovec* vectors, int count) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(vectors);
  message.msg_iovlen = static_cast<std::size_t>(count);
  const ssize_t size = send_message(call, fd, &message, 0);
  return size >= 0 || errno != ENOTSOCK ? size : write_file(call, fd, vectors, count);
}

bool is_usual(const iovec* vectors, int count) noexcept {
  return count > 0 && count <= IOV_MAX && Rest::bytes_of(vectors, static_cast<std::size_t>(count)) > 0;
}

// ---- sendfile --------------------------------------------------------------------------------------------------------

bool is_regular(int fd) noexcept {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

/// Through a buffer: sendfile itself waits for the receiver wherever the descriptor says so. The file's position
/// ends up behind what was sent, not behind what was read.
ssize_t copy_file(const Call& call, int out, int in, off_t& offset, std::size_t size) noexcept {
  constexpr std::size_t kPiece = 64 * 1024;
  const std::unique_ptr<char[]> buffer{new (std::nothrow) char[kPiece]};
  if (!buffer) {
    errno = ENOMEM;
    return -1;
  }
  std::size_t sent = 0;
  while (sent < size) {
    const ssize_t got = ::pread(in, buffer.get(), std::min(kPiece, size - sent), offset);
    if (got <= 0) return sent > 0 ? static_cast<ssize_t>(sent) : got;
    const ssize_t gone = send_buffer(call, out, buffer.get(), static_cast<std::size_t>(got), 0, nullptr, 0);
    if (gone < 0) return sent > 0 ? static_cast<ssize_t>(sent) : gone;
    offset += gone;
    sent += static_cast<std::size_t>(gone);
    if (gone < got) break;
  }
  return static_cast<ssize_t>(sent);
}

ssize_t send_file(const Call& call, int out, int in, off_t* offset, std::size_t size) noexcept {
  constexpr std::size_t kMost = 0x7ffff000;  // of any one call on Linux
  size = std::min(size, kMost);
  off_t position = offset ? *offset : ::lseek(in, 0, SEEK_CUR);
  if (position < 0) {
    if (offset) errno = EINVAL;
    return -1;
  }
  const ssize_t sent = copy_file(call, out, in, position, size);
  const int error = errno;
  if (sent > 0) {
    if (offset) {
      *offset = position;
    } else {
      ::lseek(in, position, SEEK_SET);
    }
  }
  errno = error;
  return sent;
}

/// Others than from a file to a blocking socket: the kernel's call, on a helper thread if it may wait.
template <class Real, class Offset>
ssize_t patched_sendfile(const Call& call, Real& real, int out, int in, Offset* offset, std::size_t size) noexcept {
  const bool to_socket = socket_option(out, SO_TYPE) >= 0;
  if (is_on_disk(out) || (to_socket && !is_blocking(out))) return real(out, in, offset, size);
  if (to_socket && is_regular(in)) return send_file(call, out, in, offset, size);
  return call.on_helper([&] { return real(out, in, offset, size); });
}

}  // namespace

}  // namespace weft::patch

using namespace weft::patch;

WEFT_PATCHES ssize_t read(int fd, void* buffer, std::size_t size) {
  if (size == 0 || !on_fiber()) return real_read(fd, buffer, size);
  WEFT_PATCH_CALL("read");
  const iovec vector{buffer, size};
  return read_vectors(call, fd, &vector, 1);
}

WEFT_PATCHES ssize_t __read_chk(int fd, void* buffer, std::size_t size, std::size_t room) {
  if (size == 0 || size > room || !on_fiber()) return real___read_chk(fd, buffer, size, room);
  WEFT_PATCH_CALL("read");
  const iovec vector{buffer, size};
  return read_vectors(call, fd, &vector, 1);
}

WEFT_PATCHES ssize_t readv(int fd, const iovec* vectors, int count) {
  if (!on_fiber() || !is_usual(vectors, count)) return real_readv(fd, vectors, count);
  WEFT_PATCH_CALL("readv");
  return read_vectors(call, fd, vectors, count);
}

WEFT_PATCHES ssize_t write(int fd, const void* data, std::size_t size) {
  if (!on_fiber()) return real_write(fd, data, size);
  WEFT_PATCH_CALL("write");
  const iovec vector{const_cast<void*>(data), size};
  return write_vectors(call, fd, &vector, 1);
}

WEFT_PATCHES ssize_t writev(int fd, const iovec* vectors, int count) {
  if (!on_fiber() || !is_usual(vectors, count)) return real_writev(fd, vectors, count);
  WEFT_PATCH_CALL("writev");
  return write_vectors(call, fd, vectors, count);
}

WEFT_PATCHES ssize_t sendfile(int out, int in, off_t* offset, std::size_t size) noexcept {
  if (!on_fiber()) return real_sendfile(out, in, offset, size);
  WEFT_PATCH_CALL("sendfile");
  return patched_sendfile(call, real_sendfile, out, in, offset, size);
}

WEFT_PATCHES ssize_t sendfile64(int out, int in, off64_t* offset, std::size_t size) noexcept {
  if (!on_fiber()) return real_sendfile64(out, in, offset, size);
  WEFT_PATCH_CALL("sendfile64");
  return patched_sendfile(call, real_sendfile64, out, in, offset, size);
}
