// The keeper: a program of a few KiB that libweft carries within itself and starts beside a process that names shared memory. It is told
// the names, by a socket, and sleeps. When the other end of the socket is closed, which is when that process has ended, however it
// ended, it removes those names that still are of the files it was told of, and ends.
//
// So what no handler could do after kill -9 is done. A process of its own, and not a child of fork(): that would hold on to all of its
// parent's memory. It has no libc, which would be more than a hundred times of it; and nobody's child, once it runs: who waits for all
// of his children does not wait for it.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "keeper/order.hpp"

namespace {

using weft::keeper::kSocket;
using weft::keeper::Order;

/// What the kernel returns: -errno for an error.
long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
#if defined(__x86_64__)
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
#else
#error "no system calls for this processor: cmake/WeftLibrary.cmake builds no keeper for it"
#endif
}

template <class T>
long address(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

[[noreturn]] void end() {
  for (;;) call(SYS_exit_group, 0);
}

/// The orders that are in force. One whose inode is 0 is free.
class Orders {
 public:
  /// One to be filled. Null: no memory.
  Order* free_one() {
    if (free_ == 0 && !enlarge()) return nullptr;
    Order* order = begin_;
    while (order->inode != 0) ++order;
    --free_;
    return order;
  }

  void give_back(Order* order) {
    order->inode = 0;
    ++free_;
  }

  void forget(uint64_t inode) {
    for (Order* order = begin_; order != end_; ++order)
      if (order->inode == inode) give_back(order);
  }

  void carry_out() const {
    const long shm = call(SYS_openat, AT_FDCWD, address("/dev/shm"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (const Order* order = begin_; order != end_; ++order) {
      struct stat about;  // the kernel's own, on these processors
      if (order->inode != 0 && call(SYS_newfstatat, shm, address(order->name), address(&about), AT_SYMLINK_NOFOLLOW) == 0 &&
          about.st_ino == order->inode)
        call(SYS_unlinkat, shm, address(order->name), 0);
    }
  }

 private:
  [[nodiscard]] size_t size() const { return static_cast<size_t>(end_ - begin_); }

  bool enlarge() {
    constexpr size_t kFirst = 15;  // a page
    const size_t now = size() == 0 ? kFirst : 2 * size();
    const long bytes = static_cast<long>(now * sizeof(Order));
    const long memory =
        size() == 0 ? call(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                    : call(SYS_mremap, address(begin_), static_cast<long>(size() * sizeof(Order)), bytes, MREMAP_MAYMOVE);
    if (memory < 0) return false;
    free_ += now - size();
    begin_ = reinterpret_cast<Order*>(memory);
    end_ = begin_ + now;
    return true;
  }

  Order* begin_ = nullptr;
  Order* end_ = nullptr;
  size_t free_ = 0;
};

[[noreturn]] void keep() {
  Orders orders;
  for (;;) {
    Order* const order = orders.free_one();
    if (!order) end();  // and the next order finds nobody: another keeper is started
    long bytes = 0;
    do {
      bytes = call(SYS_recvfrom, kSocket, address(order), sizeof(Order), 0, 0, 0);
    } while (bytes == -EINTR);
    if (bytes == sizeof(Order)) {
      order->name[NAME_MAX] = 0;
      if (order->name[0] == 0) orders.forget(order->inode);
      continue;
    }
    orders.give_back(order);
    if (bytes > 0) continue;  // nobody of ours
    if (bytes == 0 || bytes == -ECONNRESET) orders.carry_out();
    end();
  }
}

}  // namespace

// It starts with all signals blocked, in a session of its own: what is sent to those in front of a terminal is not for it.
extern "C" [[noreturn]]
#if defined(__x86_64__)
__attribute__((force_align_arg_pointer))
#endif
void _start() {
  // The one that was started ends at once, and can be waited for; the other is adopted by init.
  if (call(SYS_clone, SIGCHLD, 0, 0, 0, 0) != 0) end();
  // Nobody is to wait for the end of what he reads from its creator, or be unable to unmount where that was.
  for (int fd = 0; fd < kSocket; ++fd) call(SYS_close, fd);
  call(SYS_chdir, address("/"));
  keep();
}
