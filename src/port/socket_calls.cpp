#include "port/socket_calls.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "port/sanitizer.hpp"

#define WEFT_NOINLINE __attribute__((noinline))

namespace weft::port {

namespace {

// The thread's own variable, read by whatever fiber runs on it: no race, but ThreadSanitizer cannot know.
WEFT_PER_THREAD WEFT_NOINLINE int error_of_thread() noexcept { return errno; }

template <class Call>
auto without_interrupts(Call call) noexcept {
  for (;;) {
    const auto result = call();
    if (result >= 0) return result;
    if (const int error = error_of_thread(); error != EINTR) return static_cast<decltype(result)>(-error);
  }
}

}  // namespace

WEFT_NOINLINE int sys_socket(int family, int type, int protocol) noexcept {
  return without_interrupts([=] { return ::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol); });
}

WEFT_NOINLINE int sys_socketpair(int family, int type, int fds[2], Blocking blocking) noexcept {
  const int flags = SOCK_CLOEXEC | (blocking == Blocking::Yes ? 0 : SOCK_NONBLOCK);
  return without_interrupts([=] { return ::socketpair(family, type | flags, 0, fds); });
}

WEFT_NOINLINE int sys_bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  return without_interrupts([=] { return ::bind(fd, address, size); });
}

WEFT_NOINLINE int sys_listen(int fd, int backlog) noexcept {
  return without_interrupts([=] { return ::listen(fd, backlog); });
}

WEFT_NOINLINE int sys_accept(int fd, sockaddr* address, socklen_t* size) noexcept {
  return without_interrupts([=] { return ::accept4(fd, address, size, SOCK_CLOEXEC | SOCK_NONBLOCK); });
}

// An interrupted connect goes on in the kernel: it is not repeated, but reported as one in progress (connect(2)).
WEFT_NOINLINE int sys_connect(int fd, const sockaddr* address, socklen_t size) noexcept {
  if (::connect(fd, address, size) == 0) return 0;
  const int error = error_of_thread();
  return error == EINTR ? -EINPROGRESS : -error;
}

WEFT_NOINLINE int sys_shutdown(int fd, int how) noexcept {
  return without_interrupts([=] { return ::shutdown(fd, how); });
}

// Linux frees the number even when close() is interrupted: repeating it could close a stranger's descriptor.
WEFT_NOINLINE void sys_close(int fd) noexcept { ::close(fd); }

WEFT_NOINLINE ssize_t sys_send(int fd, const void* data, std::size_t size, int flags) noexcept {
  return without_interrupts([=] { return ::send(fd, data, size, flags | MSG_NOSIGNAL); });
}

WEFT_NOINLINE ssize_t sys_recv(int fd, void* buffer, std::size_t size, int flags) noexcept {
  return without_interrupts([=] { return ::recv(fd, buffer, size, flags); });
}

WEFT_NOINLINE ssize_t sys_sendto(int fd, const void* data, std::size_t size, int flags, const sockaddr* address,
                                 socklen_t address_size) noexcept {
  return without_interrupts([=] { return ::sendto(fd, data, size, flags | MSG_NOSIGNAL, address, address_size); });
}

WEFT_NOINLINE ssize_t sys_recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* address,
                                   socklen_t* address_size) noexcept {
  return without_interrupts([=] { return ::recvfrom(fd, buffer, size, flags, address, address_size); });
}

WEFT_NOINLINE ssize_t sys_sendmsg(int fd, const msghdr* message, int flags) noexcept {
  return without_interrupts([=] { return ::sendmsg(fd, message, flags | MSG_NOSIGNAL); });
}

WEFT_NOINLINE ssize_t sys_recvmsg(int fd, msghdr* message, int flags) noexcept {
  return without_interrupts([=] { return ::recvmsg(fd, message, flags | MSG_CMSG_CLOEXEC); });
}

// Neither sendfile(2) nor write(2) knows MSG_NOSIGNAL. The signal goes to the calling thread, so it is blocked there
// during the call and taken away afterwards, unless one was pending before: then it is not ours. A call that
// transferred a part may have met the broken pipe with the next piece, hence the look after every incomplete call.
namespace {

template <class Call>
ssize_t without_pipe_signal(std::size_t whole, Call call) noexcept {
  sigset_t pipe_only;
  sigset_t before;
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
  const bool was_blocked = sigismember(&before, SIGPIPE) == 1;
  bool was_pending = false;
  if (was_blocked) {
    sigset_t pending;
    sigpending(&pending);
    was_pending = sigismember(&pending, SIGPIPE) == 1;
  }

  const ssize_t sent = without_interrupts(call);

  if (sent != static_cast<ssize_t>(whole) && sent != -EAGAIN && !was_pending) {
    const timespec at_once{};
    while (sigtimedwait(&pipe_only, nullptr, &at_once) < 0 && error_of_thread() == EINTR) {
    }
  }
  if (!was_blocked) pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return sent;
}

}  // namespace

WEFT_NOINLINE ssize_t sys_sendfile(int socket_fd, int file_fd, off_t* offset, std::size_t count) noexcept {
  return without_pipe_signal(count, [=] { return ::sendfile(socket_fd, file_fd, offset, count); });
}

WEFT_NOINLINE ssize_t sys_read(int fd, void* buffer, std::size_t size) noexcept {
  return without_interrupts([=] { return ::read(fd, buffer, size); });
}

WEFT_NOINLINE ssize_t sys_writev(int fd, const iovec* pieces, std::size_t count) noexcept {
  std::size_t whole = 0;
  for (std::size_t i = 0; i < count; ++i) whole += pieces[i].iov_len;
  return without_pipe_signal(whole, [=] { return ::writev(fd, pieces, static_cast<int>(count)); });
}

WEFT_NOINLINE int sys_getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept {
  return without_interrupts([=] { return ::getsockopt(fd, level, name, value, size); });
}

WEFT_NOINLINE int sys_setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  return without_interrupts([=] { return ::setsockopt(fd, level, name, value, size); });
}

WEFT_NOINLINE int sys_getsockname(int fd, sockaddr* address, socklen_t* size) noexcept {
  return without_interrupts([=] { return ::getsockname(fd, address, size); });
}

WEFT_NOINLINE int sys_getpeername(int fd, sockaddr* address, socklen_t* size) noexcept {
  return without_interrupts([=] { return ::getpeername(fd, address, size); });
}

WEFT_NOINLINE int sys_set_close_on_exec(int fd) noexcept {
  return without_interrupts([=] { return ::fcntl(fd, F_SETFD, FD_CLOEXEC); });
}

WEFT_NOINLINE int sys_ppoll(pollfd* fds, std::size_t count, std::int64_t timeout_ns) noexcept {
  timespec timeout{};
  if (timeout_ns >= 0) {
    timeout.tv_sec = static_cast<time_t>(timeout_ns / 1'000'000'000);
    timeout.tv_nsec = static_cast<long>(timeout_ns % 1'000'000'000);
  }
  const int ready = ::ppoll(fds, count, timeout_ns < 0 ? nullptr : &timeout, nullptr);
  return ready < 0 ? -error_of_thread() : ready;
}

}  // namespace weft::port
