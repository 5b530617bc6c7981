#include "process/start/fork_server.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/detail/sent_function.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/process/parcel.hpp>
#include <weft/sync/scope.hpp>

#include "engine/descriptor.hpp"
#include "port/passed_descriptors.hpp"
#include "port/pidfd.hpp"
#include "port/sanitizer.hpp"
#include "port/socket_calls.hpp"
#include "process/start/child.hpp"
#include "process/start/program.hpp"

namespace weft::detail {

/// Fork, with the child's socket attached; or the exit code of that pid, or, negative, kill it first.
struct ForkServer::Request {
  pid_t pid = 0;  // 0: fork
};

struct ForkServer::Reply {
  pid_t pid = 0;
  std::int32_t error = 0;      // an errno value
  std::int32_t threads = 1;    // of the helper: with more than one it did not fork
  std::int32_t exit_code = 0;  // if error is 0; EAGAIN: it has not ended
  bool self_buried = false;    // of a forked child
};

namespace {

/// Whether the other end of a socket is no more, and not only this message too much for the system.
bool means_closed(int error) noexcept { return error == EPIPE || error == ECONNRESET || error == ENOTCONN || error == EBADF; }

/// A message of a fixed size with at most one descriptor.
class Message {
 public:
  Message(void* bytes, std::size_t size) : piece_{bytes, size} {
    message.msg_iov = &piece_;
    message.msg_iovlen = 1;
  }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  void attach(int fd) { port::attach_descriptors(message, room_, {&fd, 1}); }
  void expect_descriptor() { port::expect_descriptors(message, room_); }
  [[nodiscard]] OwnedFd take_descriptor() {
    std::vector<OwnedFd> descriptors;
    (void)port::take_descriptors(message, descriptors);
    return descriptors.empty() ? OwnedFd{} : std::move(descriptors.front());
  }

  msghdr message{};

 private:
  iovec piece_;
  port::PassedRoom room_;
};

}  // namespace

namespace {

constexpr std::chrono::milliseconds kBetweenLooks{500};
constexpr int kMostLooksInVain = 6;

}  // namespace

// ---- in the process that has children ----------------------------------------------------------------------------------

ForkServer& ForkServer::instance() noexcept {
  static ForkServer& server = *new ForkServer;
  return server;
}

// Made as the program starts: of a local static variable a child of fork() could find the guard taken.
[[maybe_unused]] static ForkServer& made_early = ForkServer::instance();

void ForkServer::start() {
  const Shield shield;
  const std::lock_guard guard{lock_};
  ensure_running();
}

void ForkServer::ensure_running() {
  if (control_) return;
  int ends[2];
  if (const int error = port::sys_socketpair(AF_UNIX, SOCK_SEQPACKET, ends); error < 0) throw OSError{-error, "make the socket to the fork server"};
  OwnedFd ours{ends[0]};
  OwnedFd theirs{ends[1]};
  const pid_t pid = start_program_anew("forkserver", theirs.get(), "the fork server");
  theirs.reset();
  const int end = port::pidfd_open(pid);
  if (end < 0) {
    port::kill_and_bury(pid);  // a child of another thread's fork() may have a copy of our end of the socket: closing it need not end the helper
    throw OSError{-end, "open a pidfd of", "the fork server"};
  }
  end_.reset(end);
  control_ = Descriptor::adopt(ours.get(), Descriptor::Nature::Message);
  (void)ours.release();
  ++number_;
}

std::optional<ForkServer::Child> ForkServer::fork(int socket, const std::string& whom) {
  const Shield shield;
  const std::lock_guard guard{lock_};
  ensure_running();
  Child child;
  const std::optional<Reply> reply = ask({}, socket, &child.end);
  if (!reply) return std::nullopt;
  if (reply->threads != 1) {
    throw InvalidStateError{"start " + whom + ": the fork server has " + std::to_string(reply->threads) +
                            " threads, and a fork would copy only one of them: something that runs before weft::process::main() starts "
                            "a thread. Start that later, or the process by weft::spawning"};
  }
  if (reply->error != 0) throw OSError{reply->error, "fork, in the fork server,", whom};
  if (!child.end) {
    // Where the kernel buries it, the pid may be another process's by now; that its socket is closed ends the child anyway.
    if (!reply->self_buried) (void)ask({-reply->pid}, -1, nullptr);
    throw OSError{EMFILE, "receive the pidfd of", whom};
  }
  child.pid = reply->pid;
  child.server = number_;
  child.self_buried = reply->self_buried;
  return child;
}

std::optional<int> ForkServer::take_exit_code(pid_t pid, std::uint64_t server) noexcept {
  try {
    const Shield shield;
    const std::lock_guard guard{lock_};
    for (;;) {
      if (!control_ || server != number_) return std::nullopt;
      const std::optional<Reply> reply = ask({pid}, -1, nullptr);
      if (!reply) return std::nullopt;
      if (reply->error == 0) return reply->exit_code;
      if (reply->error != EAGAIN) return std::nullopt;
      sleep_for(std::chrono::milliseconds{1});
    }
  } catch (...) {  // no memory: it cannot be asked
    return std::nullopt;
  }
}

void ForkServer::discard(const Child& child) noexcept {
  try {
    const Shield shield;
    const std::lock_guard guard{lock_};
    // Where the kernel buries it, the pid may be another process's by now; that its socket is closed ends it anyway.
    if (control_ && child.server == number_ && !child.self_buried) (void)ask({-child.pid}, -1, nullptr);
  } catch (...) {  // the message cannot be sent now: it ends by itself, and its zombie with the helper
  }
}

/// Nothing: the helper is gone, and has been buried. Throws OSError: it was not asked, as the system has no room for the message.
std::optional<ForkServer::Reply> ForkServer::ask(const Request& request, int attached, OwnedFd* received) {
  Request sent = request;
  Message question{&sent, sizeof sent};
  if (attached >= 0) question.attach(attached);
  Reply reply;
  Message answer{&reply, sizeof reply};
  if (received) answer.expect_descriptor();
  const int asked = transfer(true, &question.message);
  if (asked < 0 && asked != -ETIMEDOUT && !means_closed(-asked)) throw OSError{-asked, "send a request to", "the fork server"};
  if (asked != sizeof sent || transfer(false, &answer.message) != sizeof reply) {
    bury();
    return std::nullopt;
  }
  if (received) *received = answer.take_descriptor();
  return reply;
}

int ForkServer::transfer(bool sends, void* message) {
  const auto direction = sends ? Descriptor::Direction::Write : Descriptor::Direction::Read;
  auto* header = static_cast<msghdr*>(message);
  if (!control_->enter()) return -EBADF;
  int result = 0;
  int looks_in_vain = 0;
  for (;;) {
    const std::uint64_t seen = control_->readiness(direction);
    result = static_cast<int>(sends ? port::sys_sendmsg(control_->fd(), header, MSG_DONTWAIT)
                                    : port::sys_recvmsg(control_->fd(), header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
    if (result != -EAGAIN) break;
    control_->drained(seen, direction);
    const int waited = control_->wait(direction, Deadline::after(kBetweenLooks));
    if (waited == -ETIMEDOUT) {
      // One that a signal has stopped is as good as gone: nobody can wait here for it to be continued, and all who start processes wait.
      looks_in_vain = port::is_stopped_child(end_.get()) ? looks_in_vain + 1 : 0;
      if (looks_in_vain < kMostLooksInVain) continue;
    }
    if (waited < 0) {
      result = waited;
      break;
    }
  }
  control_->leave();
  return result;
}

// Its socket is closed, so it has ended or is about to; by its pidfd, so that no other process can be hit.
void ForkServer::bury() noexcept {
  control_->dispose();
  control_ = nullptr;
  port::pidfd_signal(end_.get(), SIGKILL);
  pollfd polled{end_.get(), POLLIN, 0};
  (void)port::sys_ppoll(&polled, 1, 1'000'000'000);
  (void)port::take_exit_code(end_.get());
  end_.reset();
}

void ForkServer::forget() noexcept {
  if (control_) control_->dispose();
  control_ = nullptr;
  end_.reset();
  std::construct_at(&lock_, "fork server");  // another thread may have held it
}

// ---- in the helper -------------------------------------------------------------------------------------------------------

namespace {

int count_own_threads() noexcept {
  struct stat tasks {};
  // ThreadSanitizer has a thread of its own, which does not mind.
  if (port::kThreadSanitizer || ::stat("/proc/self/task", &tasks) < 0 || tasks.st_nlink < 3) return 1;
  return static_cast<int>(tasks.st_nlink) - 2;
}

/// How the helper takes signals, and its children not. Ctrl-C goes to all processes of a terminal: the parent decides what becomes of its
/// helper.
///
/// While SIGCHLD is ignored the kernel buries children as they end. Where it keeps their exit codes, that is how it is between forks; not from a
/// fork until there is a pidfd, or the child might be buried before. Where it does not, exit codes would be lost.
class SignalsOfServer {
 public:
  SignalsOfServer() {
    set(SIGINT, SIG_IGN, &interrupt_);
    set(SIGCHLD, SIG_DFL, &child_);
    kernel_keeps_codes_ = kernel_keeps_exit_codes();
    let_kernel_bury();
  }
  void give_back() const noexcept {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGCHLD, &child_, nullptr);
  }

  [[nodiscard]] bool kernel_keeps_codes() const noexcept { return kernel_keeps_codes_; }
  void hold_zombies() const noexcept {
    if (kernel_keeps_codes_) set(SIGCHLD, SIG_DFL, nullptr);
  }
  void let_kernel_bury() const noexcept {
    if (!kernel_keeps_codes_) return;
    set(SIGCHLD, SIG_IGN, nullptr);
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {  // those that ended meanwhile
    }
  }

 private:
  static void set(int signal, void (*how)(int), struct sigaction* former) noexcept {
    struct sigaction action {};
    action.sa_handler = how;
    ::sigaction(signal, &action, former);
  }

  // By trying it: what a sandbox forbids, the kernel's version does not tell.
  static bool kernel_keeps_exit_codes() noexcept {
    constexpr int kCode = 77;
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(kCode);
    if (pid < 0) return false;
    const OwnedFd end{port::pidfd_open(pid)};
    port::bury_child(pid);
    return end && port::exit_code_of_stranger(end.get()) == kCode;
  }

  bool kernel_keeps_codes_ = false;

  struct sigaction interrupt_ {};
  struct sigaction child_ {};
};

/// In the child.
[[noreturn]] void live(OwnedFd socket, int control, const SignalsOfServer& signals) noexcept {
  signals.give_back();
  ::close(control);
  live_sent(socket.release(), WayOut::QuickExit);
}

ForkServer::Reply serve_fork(OwnedFd socket, OwnedFd& end, int control, const SignalsOfServer& signals) noexcept {
  ForkServer::Reply reply;
  reply.threads = count_own_threads();
  if (reply.threads != 1) return reply;
  reply.self_buried = signals.kernel_keeps_codes();
  signals.hold_zombies();
  reply.pid = ::fork();
  if (reply.pid == 0) live(std::move(socket), control, signals);
  if (reply.pid < 0) {
    reply.error = errno;
    return reply;
  }
  const int opened = port::pidfd_open(reply.pid);
  if (opened >= 0) {
    end.reset(opened);
  } else {
    reply.error = -opened;
    port::kill_and_bury(reply.pid);
  }
  return reply;
}

ForkServer::Reply serve_exit_code(pid_t pid) noexcept {
  ForkServer::Reply reply;
  if (pid < 0) {
    port::kill_and_bury(-pid);
    return reply;
  }
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG) < 0) {
    reply.error = errno;
  } else if (info.si_pid == 0) {
    reply.error = EAGAIN;
  } else {
    reply.exit_code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  }
  return reply;
}

}  // namespace

namespace {

/// Functions are received by means of a list of what is loaded, which is made when the first is sent or received.
void find_modules() noexcept {
  try {
    process::Outgoing nowhere;
    send_function(nowhere, reinterpret_cast<void (*)()>(&serve_forks));
  } catch (...) {  // no memory: the children will say so
  }
}

}  // namespace

// Nothing here uses the engine, which would start threads.
[[noreturn]] void serve_forks(int control) noexcept {
  const SignalsOfServer signals;
  find_modules();  // once, not in each child
  ::fcntl(control, F_SETFL, ::fcntl(control, F_GETFL) & ~O_NONBLOCK);
  for (;;) {
    ForkServer::Request request;
    Message question{&request, sizeof request};
    question.expect_descriptor();
    if (port::sys_recvmsg(control, &question.message, MSG_CMSG_CLOEXEC) != sizeof request) ::_exit(0);  // the parent has ended
    OwnedFd end;
    ForkServer::Reply reply =
        request.pid == 0 ? serve_fork(question.take_descriptor(), end, control, signals) : serve_exit_code(request.pid);
    Message answer{&reply, sizeof reply};
    if (end) answer.attach(end.get());
    ssize_t sent = port::sys_sendmsg(control, &answer.message, 0);
    if (sent < 0 && end && !means_closed(static_cast<int>(-sent))) {  // too many descriptors on their way in the system
      port::kill_and_bury(reply.pid);
      reply = {.error = static_cast<std::int32_t>(-sent)};
      answer.message.msg_control = nullptr;
      answer.message.msg_controllen = 0;
      sent = port::sys_sendmsg(control, &answer.message, 0);
    }
    if (sent < 0) ::_exit(0);
    signals.let_kernel_bury();
  }
}

}  // namespace weft::detail
