// Makes each call that libweft-patch.so replaces, on a plain thread or on a fiber, and writes down what came of it.
// Whatever runs it, with or without the patch, the account has to be the same.
//
//   patched_calls thread|fiber
//
// On a fiber, the only worker's, what a call waits for happens after another fiber has run: a call that blocks its
// thread never ends.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>

#include "require.hpp"

extern "C" {
ssize_t __read_chk(int, void*, std::size_t, std::size_t);
ssize_t __recv_chk(int, void*, std::size_t, std::size_t, int);
ssize_t __recvfrom_chk(int, void*, std::size_t, std::size_t, int, sockaddr*, socklen_t*);
int __poll_chk(pollfd*, nfds_t, int, std::size_t);
int __ppoll_chk(pollfd*, nfds_t, const timespec*, const sigset_t*, std::size_t);
}

namespace {

// ---- the account -----------------------------------------------------------------------------------------------------

void say(const char* what, long result, int error, const std::string& more = {}) {
  std::printf("%s: %ld %s%s%s\n", what, result, result < 0 ? strerrorname_np(error) : "ok", more.empty() ? "" : " ",
              more.c_str());
}

/// Says what call() returns.
template <class Call>
long note(const char* what, Call call) {
  errno = 0;
  const long result = call();
  say(what, result, errno);
  return result;
}

/// Says what call() returns when act() happens on another thread while it waits.
template <class Call, class Act>
long note_meanwhile(const char* what, Call call, Act act) {
  std::atomic<bool> waiting{false};
  weft::Fiber<void> other;
  if (weft::in_fiber()) {
    other = weft::spawn([&] { waiting = true; });
  } else {
    waiting = true;
  }
  std::thread actor{[&] {
    while (!waiting) ::sched_yield();
    act();
  }};
  const long result = note(what, call);
  actor.join();
  if (weft::in_fiber()) other.join();
  return result;
}

std::string flags_of(int fd) {
  return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 ? "non-blocking" : "blocking";
}

// ---- what it is made with --------------------------------------------------------------------------------------------

struct Pair {
  explicit Pair(int type = SOCK_STREAM) { REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0); }
  ~Pair() {
    for (const int fd : ends) {
      if (fd >= 0) ::close(fd);
    }
  }
  void close_other() {
    ::close(ends[1]);
    ends[1] = -1;
  }
  [[nodiscard]] int mine() const { return ends[0]; }
  [[nodiscard]] int other() const { return ends[1]; }
  void send(const std::string& text) const {
    REQUIRE(::send(ends[1], text.data(), text.size(), MSG_NOSIGNAL) == ssize_t(text.size()));
  }
  int ends[2];
};

struct Pipe {
  Pipe() { REQUIRE(::pipe2(ends, O_CLOEXEC) == 0); }
  ~Pipe() {
    for (const int fd : ends) {
      if (fd >= 0) ::close(fd);
    }
  }
  int ends[2];
};

int listener(sockaddr_in& address, int backlog = 8) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(fd, backlog) == 0);
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return fd;
}

const sockaddr* plain(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

void set_timeout(int fd, int option, int milliseconds) {
  const timeval timeout{milliseconds / 1000, milliseconds % 1000 * 1000};
  REQUIRE(::setsockopt(fd, SOL_SOCKET, option, &timeout, sizeof timeout) == 0);
}

/// Reads what is there until the end of the stream; how much that was.
std::size_t drain(int fd) {
  std::size_t total = 0;
  std::vector<char> buffer(65536);
  for (;;) {
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size <= 0) return total;
    total += static_cast<std::size_t>(size);
  }
}

// ---- receiving -------------------------------------------------------------------------------------------------------

template <class Call>
void receive_one(const char* what, Call call) {
  const Pair pair;
  char buffer[32] = {};
  note_meanwhile(
      what, [&] { return call(pair.mine(), buffer, sizeof buffer); }, [&] { pair.send("hello"); });
  say(buffer, 0, 0, flags_of(pair.mine()));
}

void receiving() {
  receive_one("recv", [](int fd, char* to, std::size_t size) { return ::recv(fd, to, size, 0); });
  receive_one("read", [](int fd, char* to, std::size_t size) { return ::read(fd, to, size); });
  receive_one("recvfrom",
              [](int fd, char* to, std::size_t size) { return ::recvfrom(fd, to, size, 0, nullptr, nullptr); });
  receive_one("__read_chk", [](int fd, char* to, std::size_t size) { return __read_chk(fd, to, size, size); });
  receive_one("__recv_chk", [](int fd, char* to, std::size_t size) { return __recv_chk(fd, to, size, size, 0); });
  receive_one("__recvfrom_chk", [](int fd, char* to, std::size_t size) {
    return __recvfrom_chk(fd, to, size, size, 0, nullptr, nullptr);
  });
  receive_one("recv of less", [](int fd, char* to, std::size_t) { return ::recv(fd, to, 2, 0); });
  receive_one("recv, to look", [](int fd, char* to, std::size_t size) { return ::recv(fd, to, size, MSG_PEEK); });
  receive_one("readv", [](int fd, char* to, std::size_t) {
    const iovec parts[] = {{to, 2}, {to + 2, 0}, {to + 2, 8}};
    return ::readv(fd, parts, 3);
  });
  receive_one("recvmsg", [](int fd, char* to, std::size_t size) {
    iovec part{to, size};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    return ::recvmsg(fd, &message, 0);
  });
  const Pair nothing;
  char buffer[32];
  note("read of nothing", [&] { return ::read(nothing.mine(), buffer, 0); });
  const iovec empty[] = {{buffer, 0}, {buffer, 0}};
  note("readv of nothing", [&] { return ::readv(nothing.mine(), empty, 2); });
  note("recv that does not wait", [&] { return ::recv(nothing.mine(), buffer, 1, MSG_DONTWAIT); });
  note("recv to nowhere", [&] {
    nothing.send("x");
    return ::recv(nothing.mine(), reinterpret_cast<void*>(8), 1, 0);
  });
  note("recv without a socket", [&] { return ::recv(-1, buffer, 1, 0); });
  note("read without a descriptor", [&] { return ::read(-1, buffer, 1); });
  note("readv of too many", [&] {
    const std::vector<iovec> many(2000, iovec{buffer, 1});
    return ::readv(nothing.mine(), many.data(), 2000);
  });
  const Pipe pipe;
  note("recv from a pipe", [&] { return ::recv(pipe.ends[0], buffer, 1, 0); });
}

void receiving_all() {
  {
    const Pair pair;
    char buffer[16] = {};
    note_meanwhile(
        "recv of all", [&] { return ::recv(pair.mine(), buffer, 10, MSG_WAITALL); },
        [&] {
          pair.send("first");
          ::sched_yield();
          pair.send("-last");
        });
    say(buffer, 0, 0);
  }
  {
    Pair pair;
    char buffer[16] = {};
    note_meanwhile(
        "recv of all there is", [&] { return ::recv(pair.mine(), buffer, 10, MSG_WAITALL); },
        [&] {
          pair.send("short");
          pair.close_other();
        });
  }
  {
    const Pair pair;
    char buffer[16] = {};
    note_meanwhile(
        "look at all", [&] { return ::recv(pair.mine(), buffer, 6, MSG_WAITALL | MSG_PEEK); },
        [&] { pair.send("abcdef"); });
    iovec part{buffer, 6};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    note("recvmsg of all", [&] { return ::recvmsg(pair.mine(), &message, MSG_WAITALL); });
  }
  {
    const Pair pair{SOCK_DGRAM};
    char buffer[16];
    note_meanwhile(
        "recv of all of a datagram", [&] { return ::recv(pair.mine(), buffer, 10, MSG_WAITALL); },
        [&] { pair.send("dgram"); });
  }
}

void receiving_many() {
  for (const int flags : {0, int{MSG_WAITFORONE}}) {
    const Pair pair{SOCK_DGRAM};
    char buffers[3][8];
    iovec parts[3];
    mmsghdr messages[3] = {};
    for (int i = 0; i < 3; ++i) {
      parts[i] = {buffers[i], sizeof buffers[i]};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const long got = note_meanwhile(
        "recvmmsg", [&] { return ::recvmmsg(pair.mine(), messages, flags ? 1 : 3, flags, nullptr); },
        [&] {
          for (const char* text : {"a", "bb", "ccc"}) pair.send(text);
        });
    for (long i = 0; i < got; ++i) say("  of", messages[i].msg_len, 0);
  }
  const Pair pair{SOCK_DGRAM};
  char buffer[8];
  iovec part{buffer, sizeof buffer};
  mmsghdr message{};
  message.msg_hdr.msg_iov = &part;
  message.msg_hdr.msg_iovlen = 1;
  note("recvmmsg that does not wait", [&] { return ::recvmmsg(pair.mine(), &message, 1, MSG_DONTWAIT, nullptr); });
  timespec wrong{0, -1};
  note("recvmmsg with a wrong time", [&] { return ::recvmmsg(pair.mine(), &message, 1, 0, &wrong); });
  note("sendmmsg", [&] { return ::sendmmsg(pair.other(), &message, 1, 0); });
}

void ends() {
  {
    Pair pair;
    char buffer[8];
    note_meanwhile(
        "recv at the end", [&] { return ::recv(pair.mine(), buffer, 8, 0); }, [&] { pair.close_other(); });
    ::signal(SIGPIPE, SIG_IGN);
    note("send to nobody", [&] { return ::send(pair.mine(), "x", 1, 0); });
    note("write to nobody", [&] { return ::write(pair.mine(), "x", 1); });
  }
  {
    Pipe pipe;
    char buffer[8];
    note_meanwhile(
        "read of a pipe at its end", [&] { return ::read(pipe.ends[0], buffer, 8); },
        [&] {
          ::close(pipe.ends[1]);
          pipe.ends[1] = -1;
        });
  }
  {
    Pipe pipe;
    ::close(pipe.ends[0]);
    pipe.ends[0] = -1;
    static std::atomic<int> signals{0};
    signals = 0;
    ::signal(SIGPIPE, [](int) { ++signals; });
    note("write to a pipe of nobody", [&] { return ::write(pipe.ends[1], "x", 1); });
    Pair pair;
    pair.close_other();
    note("write to a socket of nobody", [&] { return ::write(pair.mine(), "x", 1); });
    say("signals", signals, 0);
    ::signal(SIGPIPE, SIG_IGN);
  }
}

// ---- other kinds of files --------------------------------------------------------------------------------------------

void other_files() {
  char buffer[32] = {};
  {
    const Pipe pipe;
    note_meanwhile(
        "read of a pipe", [&] { return ::read(pipe.ends[0], buffer, 8); },
        [&] { REQUIRE(::write(pipe.ends[1], "pipe", 4) == 4); });
    say(buffer, 0, 0, flags_of(pipe.ends[0]));
    ::fcntl(pipe.ends[0], F_SETFL, O_NONBLOCK);
    note("read of a non-blocking pipe", [&] { return ::read(pipe.ends[0], buffer, 8); });
  }
  {
    const int event = ::eventfd(0, EFD_CLOEXEC);
    note_meanwhile(
        "read of an eventfd", [&] { return ::read(event, buffer, 8); },
        [&] { REQUIRE(::eventfd_write(event, 7) == 0); });
    note("read of too little of an eventfd", [&] { return ::read(event, buffer, 4); });
    ::close(event);
  }
  {
    const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    const itimerspec soon{{0, 0}, {0, 1'000'000}};
    note_meanwhile(
        "read of a timer", [&] { return ::read(timer, buffer, 8); },
        [&] { REQUIRE(::timerfd_settime(timer, 0, &soon, nullptr) == 0); });
    ::close(timer);
  }
  {
    int master = -1, terminal = -1;
    REQUIRE(::openpty(&master, &terminal, nullptr, nullptr, nullptr) == 0);
    note_meanwhile(
        "read of a terminal", [&] { return ::read(terminal, buffer, sizeof buffer); },
        [&] { REQUIRE(::write(master, "typed\n", 6) == 6); });
    note("write to a terminal", [&] { return ::write(terminal, "shown", 5); });
    ::close(terminal);
    ::close(master);
  }
  {
    const int file = ::memfd_create("file", MFD_CLOEXEC);
    note("write to a file", [&] { return ::write(file, "0123456789", 10); });
    note("read at the end of a file", [&] { return ::read(file, buffer, 8); });
    ::lseek(file, 0, SEEK_SET);
    note("read of a file", [&] { return ::read(file, buffer, 8); });
    const iovec parts[] = {{buffer, 3}, {buffer + 3, 3}};
    note("writev to a file", [&] { return ::writev(file, parts, 2); });
    note("position", [&] { return ::lseek(file, 0, SEEK_CUR); });
    ::close(file);
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    note("read of /dev/null", [&] { return ::read(null, buffer, 8); });
    note("write to /dev/null", [&] { return ::write(null, buffer, 8); });
    ::close(null);
    const int directory = ::open("/", O_RDONLY | O_CLOEXEC);
    note("read of a directory", [&] { return ::read(directory, buffer, 8); });
    ::close(directory);
    note("write to the wrong end", [&] {
      const Pipe pipe;
      return ::write(pipe.ends[0], "x", 1);
    });
  }
}

// ---- sending ---------------------------------------------------------------------------------------------------------

constexpr std::size_t kMuch = 3'000'001;

template <class Call>
void send_much(const char* what, Call call) {
  Pair pair;
  const std::string data(kMuch, 'x');
  std::size_t arrived = 0;
  std::thread reader;
  note_meanwhile(
      what, [&] { return call(pair.mine(), data); },
      [&] { reader = std::thread{[&] { arrived = drain(pair.other()); }}; });
  ::shutdown(pair.mine(), SHUT_WR);
  reader.join();
  say("  arrived", static_cast<long>(arrived), 0, flags_of(pair.mine()));
}

void sending() {
  send_much("send of much", [](int fd, const std::string& data) { return ::send(fd, data.data(), data.size(), 0); });
  send_much("write of much", [](int fd, const std::string& data) { return ::write(fd, data.data(), data.size()); });
  send_much("sendto of much",
            [](int fd, const std::string& data) { return ::sendto(fd, data.data(), data.size(), 0, nullptr, 0); });
  send_much("writev of much", [](int fd, const std::string& data) {
    const iovec parts[] = {
        {const_cast<char*>(data.data()), 1}, {nullptr, 0}, {const_cast<char*>(data.data()), data.size() - 1}};
    return ::writev(fd, parts, 3);
  });
  send_much("sendmsg of much", [](int fd, const std::string& data) {
    iovec parts[] = {{const_cast<char*>(data.data()), 700'000},
                     {const_cast<char*>(data.data()), data.size() - 700'000}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    return ::sendmsg(fd, &message, 0);
  });
  send_much("sendmmsg of much", [](int fd, const std::string& data) {
    iovec parts[] = {{const_cast<char*>(data.data()), 1'000'000},
                     {const_cast<char*>(data.data()), data.size() - 1'000'000}};
    mmsghdr messages[2] = {};
    for (int i = 0; i < 2; ++i) {
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int sent = ::sendmmsg(fd, messages, 2, 0);
    say("  of", messages[0].msg_len, 0);
    return sent;
  });
  {
    Pipe pipe;
    const std::string data(kMuch, 'x');
    std::size_t arrived = 0;
    std::thread reader;
    note_meanwhile(
        "write of much to a pipe", [&] { return ::write(pipe.ends[1], data.data(), data.size()); },
        [&] { reader = std::thread{[&] { arrived = drain(pipe.ends[0]); }}; });
    ::close(pipe.ends[1]);
    pipe.ends[1] = -1;
    reader.join();
    say("  arrived", static_cast<long>(arrived), 0);
  }
  {
    const Pair pair{SOCK_DGRAM};
    const std::string data(1000, 'x');
    while (::send(pair.mine(), data.data(), data.size(), MSG_DONTWAIT) > 0) {
    }
    note_meanwhile(
        "send of one more datagram", [&] { return ::send(pair.mine(), data.data(), data.size(), 0); },
        [&] {
          // Until there are none: the kernel wakes who waits to send only when most of the room is free again.
          char buffer[1000];
          while (::recv(pair.other(), buffer, sizeof buffer, MSG_DONTWAIT) == 1000) {
          }
        });
  }
  {
    const Pair pair;
    ::fcntl(pair.mine(), F_SETFL, O_NONBLOCK);
    const std::string data(kMuch, 'x');
    const auto sent = ::send(pair.mine(), data.data(), data.size(), 0);
    say("send of a part", sent > 0 && sent < ssize_t(kMuch), 0);
    note("send of no more", [&] { return ::send(pair.mine(), data.data(), data.size(), 0); });
  }
}

void sending_files() {
  const int file = ::memfd_create("file", MFD_CLOEXEC);
  REQUIRE(::ftruncate(file, kMuch) == 0);
  for (const bool with_offset : {false, true}) {
    Pair pair;
    off_t offset = 1;
    ::lseek(file, 2, SEEK_SET);
    std::size_t arrived = 0;
    std::thread reader;
    note_meanwhile(
        "sendfile", [&] { return ::sendfile(pair.mine(), file, with_offset ? &offset : nullptr, kMuch); },
        [&] { reader = std::thread{[&] { arrived = drain(pair.other()); }}; });
    ::shutdown(pair.mine(), SHUT_WR);
    reader.join();
    say("  arrived", static_cast<long>(arrived), 0);
    say("  offset", offset, 0);
    say("  position", ::lseek(file, 0, SEEK_CUR), 0);
  }
  const Pair pair;
  off_t wrong = -1;
  note("sendfile from before the file", [&] { return ::sendfile(pair.mine(), file, &wrong, 1); });
  note("sendfile from nowhere", [&] { return ::sendfile(pair.mine(), -1, nullptr, 1); });
  note("sendfile to nowhere", [&] { return ::sendfile(-1, file, nullptr, 1); });
  const Pipe pipe;
  ::lseek(file, 0, SEEK_SET);
  note("sendfile to a pipe", [&] { return ::sendfile(pipe.ends[1], file, nullptr, 100); });
  ::close(file);
}

// ---- timeouts --------------------------------------------------------------------------------------------------------

void timeouts() {
  const Pair pair;
  char buffer[8];
  set_timeout(pair.mine(), SO_RCVTIMEO, 20);
  const auto begin = std::chrono::steady_clock::now();
  note("recv for so long", [&] { return ::recv(pair.mine(), buffer, 1, 0); });
  note("read for so long", [&] { return ::read(pair.mine(), buffer, 1); });
  // The kernel counts in ticks, of which one may be nearly over.
  REQUIRE(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds{20});
  pair.send("abc");
  note("recv of all for so long", [&] { return ::recv(pair.mine(), buffer, 8, MSG_WAITALL); });
  set_timeout(pair.mine(), SO_SNDTIMEO, 20);
  const std::string data(kMuch, 'x');
  const auto sent = ::send(pair.mine(), data.data(), data.size(), 0);
  say("send of a part in time", sent > 0 && sent < ssize_t(kMuch), 0);
  note("send of no more in time", [&] { return ::send(pair.mine(), data.data(), data.size(), 0); });
  sockaddr_in address;
  const int listening = listener(address);
  set_timeout(listening, SO_RCVTIMEO, 20);
  note("accept for so long", [&] { return ::accept(listening, nullptr, nullptr); });
  timeval left{};
  socklen_t size = sizeof left;
  ::getsockopt(listening, SOL_SOCKET, SO_RCVTIMEO, &left, &size);
  say("timeout", left.tv_usec / 1000, 0, flags_of(listening));
  ::close(listening);
}

// ---- connections -----------------------------------------------------------------------------------------------------

void connections() {
  sockaddr_in address;
  const int listening = listener(address);
  {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    note("connect", [&] { return ::connect(fd, plain(address), sizeof address); });
    say("  flags", 0, 0, flags_of(fd));
    note("connect again", [&] { return ::connect(fd, plain(address), sizeof address); });
    const int accepted = ::accept(listening, nullptr, nullptr);
    say("accepted", accepted >= 0, 0,
        flags_of(accepted) + ((::fcntl(accepted, F_GETFD) & FD_CLOEXEC) ? ", not inherited" : ""));
    ::close(accepted);
    ::close(fd);
  }
  {
    int fd = -1;
    int accepted = -1;
    note_meanwhile(
        "accept4",
        [&] { return (accepted = ::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0; },
        [&] {
          fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
          REQUIRE(::connect(fd, plain(address), sizeof address) == 0);
        });
    say("  flags", 0, 0, flags_of(accepted) + ((::fcntl(accepted, F_GETFD) & FD_CLOEXEC) ? ", not inherited" : ""));
    say("  listening", 0, 0, flags_of(listening));
    ::close(accepted);
    ::close(fd);
  }
  {
    int accepted = -1;
    int fd = -1;
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    note_meanwhile(
        "accept", [&] { return (accepted = ::accept(listening, reinterpret_cast<sockaddr*>(&peer), &size)) >= 0; },
        [&] {
          fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
          REQUIRE(::connect(fd, plain(address), sizeof address) == 0);
        });
    say("  from", ntohl(peer.sin_addr.s_addr) == INADDR_LOOPBACK, 0);
    ::close(accepted);
    ::close(fd);
  }
  {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    note("non-blocking connect", [&] { return ::connect(fd, plain(address), sizeof address); });
    pollfd polled{fd, POLLOUT, 0};
    note("poll for it", [&] { return ::poll(&polled, 1, -1); });
    say("  flags", 0, 0, flags_of(fd));
    ::close(fd);
    note("accept what it was", [&] {
      const int accepted = ::accept(listening, nullptr, nullptr);
      ::close(accepted);
      return accepted >= 0;
    });
  }
  ::close(listening);
  {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    note("connect to nobody", [&] { return ::connect(fd, plain(address), sizeof address); });
    say("  flags", 0, 0, flags_of(fd));
    note("accept of what does not listen", [&] { return ::accept(fd, nullptr, nullptr); });
    ::close(fd);
  }
  {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    note("connect of datagrams", [&] { return ::connect(fd, plain(address), sizeof address); });
    note("accept of datagrams", [&] { return ::accept(fd, nullptr, nullptr); });
    ::close(fd);
    note("connect of nothing", [&] { return ::connect(-1, plain(address), sizeof address); });
  }
  {
    // Two fit into a backlog of one; the third waits for the first to be accepted.
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "weft-patched-calls-%d-%d", static_cast<int>(::getpid()),
                  weft::in_fiber() ? 1 : 0);
    const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::bind(server, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0 && ::listen(server, 1) == 0);
    int clients[3];
    for (int& client : clients) client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto reach = [&](int fd) { return ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name); };
    note("connect to a UNIX socket", [&] { return reach(clients[0]); });
    note("connect to a UNIX socket", [&] { return reach(clients[1]); });
    int accepted = -1;
    note_meanwhile(
        "connect to a full UNIX socket", [&] { return reach(clients[2]); },
        [&] { accepted = ::accept(server, nullptr, nullptr); });
    say("  flags", 0, 0, flags_of(clients[2]));
    for (const int client : clients) ::close(client);
    ::close(accepted);
    ::close(server);
  }
}

// ---- polling ---------------------------------------------------------------------------------------------------------

std::string events_of(const pollfd& polled) {
  std::string text;
  if (polled.revents & POLLIN) text += "in ";
  if (polled.revents & POLLOUT) text += "out ";
  if (polled.revents & POLLHUP) text += "hup ";
  if (polled.revents & POLLERR) text += "err ";
  if (polled.revents & POLLNVAL) text += "nval ";
  return text;
}

void polling() {
  Pair first;
  const Pair second;
  pollfd polled[] = {{first.mine(), POLLIN, 0}, {-1, POLLIN, 0}, {second.mine(), POLLIN, 0}};
  note("poll of nothing new", [&] { return ::poll(polled, 3, 0); });
  note("poll for so long", [&] { return ::poll(polled, 3, 5); });
  note("poll of nobody for so long", [&] { return ::poll(nullptr, 0, 5); });
  note_meanwhile(
      "poll", [&] { return ::poll(polled, 3, -1); }, [&] { second.send("x"); });
  for (const pollfd& one : polled) say("  events", one.revents != 0, 0, events_of(one));
  char buffer[8];
  REQUIRE(::recv(second.mine(), buffer, 8, 0) == 1);
  note_meanwhile(
      "ppoll", [&] { return ::ppoll(polled, 3, nullptr, nullptr); }, [&] { second.send("x"); });
  REQUIRE(::recv(second.mine(), buffer, 8, 0) == 1);
  note_meanwhile(
      "__poll_chk", [&] { return __poll_chk(polled, 3, 60'000, sizeof polled); }, [&] { second.send("x"); });
  REQUIRE(::recv(second.mine(), buffer, 8, 0) == 1);
  sigset_t mask;
  ::sigemptyset(&mask);
  const timespec minute{60, 0};
  note_meanwhile(
      "__ppoll_chk", [&] { return __ppoll_chk(polled, 3, &minute, nullptr, sizeof polled); },
      [&] { second.send("x"); });
  REQUIRE(::recv(second.mine(), buffer, 8, 0) == 1);
  note_meanwhile(
      "ppoll with a mask", [&] { return ::ppoll(polled, 3, &minute, &mask); }, [&] { second.send("x"); });
  REQUIRE(::recv(second.mine(), buffer, 8, 0) == 1);
  const timespec wrong{0, 1'000'000'000};
  note("ppoll with a wrong time", [&] { return ::ppoll(polled, 3, &wrong, nullptr); });
  note_meanwhile(
      "poll until the end", [&] { return ::poll(polled, 1, -1); }, [&] { first.close_other(); });
  say("  events", 1, 0, events_of(polled[0]));
  pollfd closed[] = {{1023, POLLIN, 0}, {second.mine(), POLLOUT, 0}};
  note("poll of what is not open", [&] { return ::poll(closed, 2, -1); });
  for (const pollfd& one : closed) say("  events", 1, 0, events_of(one));
  const int file = ::memfd_create("file", MFD_CLOEXEC);
  pollfd mixed[] = {{file, 0, 0}, {second.mine(), POLLIN, 0}};
  note_meanwhile(
      "poll beside a file", [&] { return ::poll(mixed, 2, -1); }, [&] { second.send("x"); });
  REQUIRE(::recv(second.mine(), buffer, 8, 0) == 1);
  mixed[0].events = POLLIN;
  note("poll of a file", [&] { return ::poll(mixed, 2, -1); });
  mixed[0].events = 0;
  note("poll of a file for nothing", [&] { return ::poll(mixed, 1, 5); });
  ::close(file);
}

void selecting() {
  const Pair pair;
  const Pipe pipe;
  fd_set readable, writable;
  const int count = std::max(pair.mine(), pipe.ends[0]) + 1;
  const auto ask = [&] {
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_SET(pair.mine(), &readable);
    FD_SET(pipe.ends[0], &readable);
  };
  const auto answer = [&] {
    say("  set",
        FD_ISSET(pair.mine(), &readable) + 2 * FD_ISSET(pipe.ends[0], &readable) + 4 * FD_ISSET(pair.mine(), &writable),
        0);
  };
  ask();
  timeval soon{0, 5000};
  note("select for so long", [&] { return ::select(count, &readable, &writable, nullptr, &soon); });
  answer();
  say("  left", soon.tv_sec * 1'000'000 + soon.tv_usec, 0);
  ask();
  note_meanwhile(
      "select", [&] { return ::select(count, &readable, nullptr, nullptr, nullptr); }, [&] { pair.send("x"); });
  answer();
  ask();
  FD_SET(pair.mine(), &writable);
  timeval minute{60, 0};
  note("select of two", [&] { return ::select(count, &readable, &writable, nullptr, &minute); });
  answer();
  say("  less than a minute left", minute.tv_sec < 60 || minute.tv_usec == 0, 0);
  char buffer[8];
  REQUIRE(::recv(pair.mine(), buffer, 8, 0) == 1);
  ask();
  const timespec time{60, 0};
  sigset_t mask;
  ::sigemptyset(&mask);
  note_meanwhile(
      "pselect", [&] { return ::pselect(count, &readable, nullptr, nullptr, &time, nullptr); },
      [&] { pair.send("x"); });
  answer();
  REQUIRE(::recv(pair.mine(), buffer, 8, 0) == 1);
  ask();
  note_meanwhile(
      "pselect with a mask", [&] { return ::pselect(count, &readable, nullptr, nullptr, &time, &mask); },
      [&] { pair.send("x"); });
  answer();
  timeval little{};
  const int closed = ::dup(pair.mine());
  ::close(closed);
  FD_ZERO(&readable);
  FD_SET(closed, &readable);
  note("select of what is not open", [&] { return ::select(closed + 1, &readable, nullptr, nullptr, nullptr); });
  // Beyond all descriptors the process ever had the kernel does not even look.
  FD_ZERO(&readable);
  FD_SET(1023, &readable);
  little = {0, 5000};
  note("select of what never was", [&] { return ::select(1024, &readable, nullptr, nullptr, &little); });
  note("select of less than none", [&] { return ::select(-1, nullptr, nullptr, nullptr, nullptr); });
  timeval wrong{-1, 0};
  note("select with a wrong time", [&] { return ::select(0, nullptr, nullptr, nullptr, &wrong); });
  little = {0, 1000};
  note("select as a sleep", [&] { return ::select(0, nullptr, nullptr, nullptr, &little); });
}

void epolling() {
  const Pair pair;
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 77;
  REQUIRE(::epoll_ctl(epoll, EPOLL_CTL_ADD, pair.mine(), &event) == 0);
  epoll_event found[4];
  char buffer[8];
  const auto take = [&] { REQUIRE(::recv(pair.mine(), buffer, 8, 0) == 1); };
  const auto act = [&] { pair.send("x"); };
  sigset_t mask;
  ::sigemptyset(&mask);
  const timespec minute{60, 0};
  note("epoll_wait of nothing new", [&] { return ::epoll_wait(epoll, found, 4, 0); });
  note("epoll_wait for so long", [&] { return ::epoll_wait(epoll, found, 4, 5); });
  note_meanwhile(
      "epoll_wait", [&] { return ::epoll_wait(epoll, found, 4, -1); }, act);
  say("  of", static_cast<long>(found[0].data.u64), 0, found[0].events == EPOLLIN ? "in" : "else");
  take();
  note_meanwhile(
      "epoll_pwait", [&] { return ::epoll_pwait(epoll, found, 4, 60'000, nullptr); }, act);
  take();
  note_meanwhile(
      "epoll_pwait with a mask", [&] { return ::epoll_pwait(epoll, found, 4, 60'000, &mask); }, act);
  take();
  note_meanwhile(
      "epoll_pwait2", [&] { return ::epoll_pwait2(epoll, found, 4, &minute, nullptr); }, act);
  take();
  note("epoll_wait for none", [&] { return ::epoll_wait(epoll, found, 0, -1); });
  note("epoll_wait of no epoll", [&] { return ::epoll_wait(pair.mine(), found, 4, -1); });
  // Within another, as event loops of libraries are.
  const int outer = ::epoll_create1(EPOLL_CLOEXEC);
  REQUIRE(::epoll_ctl(outer, EPOLL_CTL_ADD, epoll, &event) == 0);
  note_meanwhile(
      "epoll_wait for another's", [&] { return ::epoll_wait(outer, found, 4, -1); }, act);
  ::close(outer);
  ::close(epoll);
}

// ---- sleeping, names, flags ------------------------------------------------------------------------------------------

void sleeping() {
  const auto begin = std::chrono::steady_clock::now();
  const timespec short_time{0, 2'000'000};
  timespec left{5, 5};
  note("usleep", [&] { return ::usleep(2000); });
  note("nanosleep", [&] { return ::nanosleep(&short_time, &left); });
  note("clock_nanosleep", [&] { return ::clock_nanosleep(CLOCK_MONOTONIC, 0, &short_time, nullptr); });
  for (const clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME}) {
    timespec until{};
    ::clock_gettime(clock, &until);
    until.tv_nsec += 2'000'000;
    if (until.tv_nsec >= 1'000'000'000) until = {until.tv_sec + 1, until.tv_nsec - 1'000'000'000};
    note("clock_nanosleep until", [&] { return ::clock_nanosleep(clock, TIMER_ABSTIME, &until, nullptr); });
    timespec now{};
    ::clock_gettime(clock, &now);
    REQUIRE(now.tv_sec > until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec));
  }
  REQUIRE(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds{12});
  const timespec past{1, 0};
  note("clock_nanosleep until long ago",
       [&] { return ::clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &past, nullptr); });
  note("sleep", [&] { return ::sleep(0); });
  const timespec wrong{0, 1'000'000'000};
  note("nanosleep of a wrong time", [&] { return ::nanosleep(&wrong, nullptr); });
  note("clock_nanosleep of a wrong time", [&] { return ::clock_nanosleep(CLOCK_MONOTONIC, 0, &wrong, nullptr); });
  note("clock_nanosleep of a wrong clock", [&] { return ::clock_nanosleep(12345, 0, &short_time, nullptr); });
  note("clock_nanosleep of the thread's clock",
       [&] { return ::clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &short_time, nullptr); });
}

void names() {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  note("getaddrinfo", [&] { return ::getaddrinfo("localhost", "80", &hints, &found); });
  say("  of", found && ntohl(reinterpret_cast<sockaddr_in*>(found->ai_addr)->sin_addr.s_addr) == INADDR_LOOPBACK, 0);
  char host[64], service[16];
  hints.ai_flags = AI_NUMERICHOST;
  note("getnameinfo", [&] {
    return ::getnameinfo(found->ai_addr, found->ai_addrlen, host, sizeof host, service, sizeof service,
                         NI_NUMERICHOST | NI_NUMERICSERV);
  });
  ::freeaddrinfo(found);
  found = nullptr;
  note("getaddrinfo of no number",
       [&] { return ::getaddrinfo("not.a.number", nullptr, &hints, &found) == EAI_NONAME; });
  note("getaddrinfo of no service",
       [&] { return ::getaddrinfo("127.0.0.1", "no-such-service", nullptr, &found) == EAI_SERVICE; });
  const hostent* entry = nullptr;
  note("gethostbyname", [&] { return (entry = ::gethostbyname("localhost")) != nullptr; });
  say(entry->h_name, entry->h_length, 0);
  note("gethostbyname2", [&] { return ::gethostbyname2("127.0.0.1", AF_INET) != nullptr; });
  h_errno = 0;
  note("gethostbyname of nothing", [&] { return ::gethostbyname("bad name") == nullptr; });
  say("  h_errno", h_errno, 0);
  hostent host_entry{};
  hostent* result = nullptr;
  char room[1024];
  int error = 0;
  note("gethostbyname_r",
       [&] { return ::gethostbyname_r("localhost", &host_entry, room, sizeof room, &result, &error); });
  note("gethostbyname_r in no room",
       [&] { return ::gethostbyname_r("localhost", &host_entry, room, 1, &result, &error) == ERANGE; });
  const in_addr_t loopback = htonl(INADDR_LOOPBACK);
  note("gethostbyaddr", [&] { return ::gethostbyaddr(&loopback, sizeof loopback, AF_INET) != nullptr; });
}

void flags() {
  const Pair pair;
  char buffer[4];
  int on = 1;
  note("ioctl", [&] { return ::ioctl(pair.mine(), FIONBIO, &on); });
  say("  flags", 0, 0, flags_of(pair.mine()));
  note("recv without waiting", [&] { return ::recv(pair.mine(), buffer, 4, 0); });
  note("read without waiting", [&] { return ::read(pair.mine(), buffer, 4); });
  note("fcntl", [&] { return ::fcntl(pair.mine(), F_SETFL, 0); });
  say("  flags", 0, 0, flags_of(pair.mine()));
  pair.send("abc");
  int waiting = 0;
  note("ioctl of how much there is", [&] { return ::ioctl(pair.mine(), FIONREAD, &waiting); });
  say("  waiting", waiting, 0);
  note("fcntl of no command", [&] { return ::fcntl(pair.mine(), 4711); });
  const int copy = ::fcntl(pair.mine(), F_DUPFD_CLOEXEC, 100);
  say("copy", copy >= 100, 0);
  note("dup2", [&] { return ::dup2(pair.mine(), copy) == copy; });
  note("dup2 of itself", [&] { return ::dup2(copy, copy) == copy; });
  note("dup3 of itself", [&] { return ::dup3(copy, copy, 0); });
  note("dup2 of nothing", [&] { return ::dup2(1023, copy); });
  note("dup3", [&] { return ::dup3(pair.mine(), copy, O_CLOEXEC) == copy; });
  note("recv through a copy", [&] { return ::recv(copy, buffer, 4, 0); });
  note("close", [&] { return ::close(copy); });
  note("close again", [&] { return ::close(copy); });
  note("close_range", [&] { return ::close_range(900, 999, 0); });
  const int duplicate = ::dup(pair.mine());
  say("dup", duplicate >= 0, 0, flags_of(duplicate));
  ::close(duplicate);
}

void forking() {
  const Pair pair;
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    char buffer[8];
    ::alarm(60);
    const timespec little{0, 1'000'000};
    ::nanosleep(&little, nullptr);
    pollfd polled{pair.mine(), POLLIN, 0};
    note("poll in a child", [&] { return ::poll(&polled, 1, -1); });
    note("recv in a child", [&] { return ::recv(pair.mine(), buffer, 8, 0); });
    const auto in_new_engine = [&] {
      return weft::Runtime{{.workers = 1}}.run([&] {
        const Pair own;
        auto sender = weft::spawn([&] { own.send("new"); });
        ::usleep(1000);  // without the patch the sender would not have run
        sender.join();
        return ::recv(own.mine(), buffer, 8, 0);
      });
    };
    note("recv in a child's own engine", in_new_engine);
    std::fflush(stdout);
    // Not _exit(): AddressSanitizer would remark that this is not the stack it knew the thread to have.
    ::syscall(SYS_exit_group, 0);
  }
  pair.send("child");
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  say("child", WIFEXITED(status) ? WEXITSTATUS(status) : 1000, 0);
}

void everything() {
  receiving();
  receiving_all();
  receiving_many();
  ends();
  other_files();
  sending();
  sending_files();
  timeouts();
  connections();
  polling();
  selecting();
  epolling();
  sleeping();
  names();
  flags();
  forking();
}

}  // namespace

int main(int, char** arguments) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (std::strcmp(arguments[1], "fiber") == 0) {
    weft::Runtime{{.workers = 1}}.run(everything);
  } else {
    everything();
  }
}
