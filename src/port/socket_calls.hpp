// The socket system calls, each returning its result or -errno.
//
// Nothing above port/ reads errno: its address is thread-local and compilers cache it, while a fiber may continue on
// another thread after any wait. These functions are never inlined, so that the address is computed anew in each. EINTR
// is handled here. Descriptors are created close-on-exec and, unless told otherwise, non-blocking; SIGPIPE is never
// raised.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace weft::port {

[[nodiscard]] int sys_socket(int family, int type, int protocol) noexcept;
enum class Blocking : bool { No, Yes };
[[nodiscard]] int sys_socketpair(int family, int type, int fds[2], Blocking blocking = Blocking::No) noexcept;
[[nodiscard]] int sys_bind(int fd, const sockaddr* address, socklen_t size) noexcept;
[[nodiscard]] int sys_listen(int fd, int backlog) noexcept;
[[nodiscard]] int sys_accept(int fd, sockaddr* address, socklen_t* size) noexcept;
[[nodiscard]] int sys_connect(int fd, const sockaddr* address, socklen_t size) noexcept;
int sys_shutdown(int fd, int how) noexcept;
void sys_close(int fd) noexcept;

[[nodiscard]] ssize_t sys_send(int fd, const void* data, std::size_t size, int flags) noexcept;
[[nodiscard]] ssize_t sys_recv(int fd, void* buffer, std::size_t size, int flags) noexcept;
[[nodiscard]] ssize_t sys_sendto(int fd, const void* data, std::size_t size, int flags, const sockaddr* address,
                                 socklen_t address_size) noexcept;
[[nodiscard]] ssize_t sys_recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* address,
                                   socklen_t* address_size) noexcept;
[[nodiscard]] ssize_t sys_sendmsg(int fd, const msghdr* message, int flags) noexcept;
[[nodiscard]] ssize_t sys_recvmsg(int fd, msghdr* message, int flags) noexcept;
// Advances *offset by what was sent.
[[nodiscard]] ssize_t sys_sendfile(int socket_fd, int file_fd, off_t* offset, std::size_t count) noexcept;

[[nodiscard]] ssize_t sys_read(int fd, void* buffer, std::size_t size) noexcept;
[[nodiscard]] ssize_t sys_writev(int fd, const iovec* pieces, std::size_t count) noexcept;

[[nodiscard]] int sys_getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept;
[[nodiscard]] int sys_setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept;
[[nodiscard]] int sys_getsockname(int fd, sockaddr* address, socklen_t* size) noexcept;
[[nodiscard]] int sys_getpeername(int fd, sockaddr* address, socklen_t* size) noexcept;
[[nodiscard]] int sys_set_close_on_exec(int fd) noexcept;

// Waits at most `timeout_ns` (negative: for ever) for one of the events. EINTR is reported: the caller recomputes its
// time.
[[nodiscard]] int sys_ppoll(pollfd* fds, std::size_t count, std::int64_t timeout_ns) noexcept;

}  // namespace weft::port
