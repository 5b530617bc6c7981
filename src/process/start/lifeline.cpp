#include "process/start/lifeline.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

#include <weft/base/error.hpp>

#include "engine/immortal.hpp"

namespace weft::detail {

namespace {

constinit Immortal<std::mutex> lock;
Lifeline* first = nullptr;  // guarded by lock

}  // namespace

// Under the lock, so that no fork() can come between the making of the socket and its place in the list.
Lifeline::Lifeline(OwnedFd& theirs) {
  const std::lock_guard guard{lock.value};
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) throw OSError{errno, "make the socket to a child process"};
  fd_ = ends[0];
  theirs.reset(ends[1]);
  next_ = first;
  if (first) first->previous_ = this;
  first = this;
}

Lifeline::~Lifeline() {
  const std::lock_guard guard{lock.value};
  (previous_ ? previous_->next_ : first) = next_;
  if (next_) next_->previous_ = previous_;
  if (fd_ >= 0) ::close(fd_);
}

void Lifeline::lock_for_fork() noexcept { lock.value.lock(); }

// The children are the parent's; if this process held their lifelines, they would outlive it.
void Lifeline::unlock_after_fork(bool in_child) noexcept {
  if (in_child) {
    for (Lifeline* one = first; one; one = one->next_) {
      if (one->fd_ >= 0) ::close(one->fd_);
      one->fd_ = -1;
    }
  }
  lock.value.unlock();
}

// The signal comes when the other end is closed. SIGKILL cannot be blocked or handled: a child that computes, or has its signals
// blocked, ends as well. Not PR_SET_PDEATHSIG, which follows the thread that forked. The owner is this process itself, also when the
// socket has been inherited by children of its own. A socket of Lifeline's has no other flags to be kept, and
// whoever adopts it wants it not to block. Last a look, for an end that came before.
void live_no_longer_than(int theirs) noexcept {
  ::fcntl(theirs, F_SETOWN, ::getpid());
  ::fcntl(theirs, F_SETSIG, SIGKILL);
  ::fcntl(theirs, F_SETFL, O_ASYNC | O_NONBLOCK);
  pollfd polled{theirs, POLLIN, 0};
  if (::poll(&polled, 1, 0) > 0) ::kill(::getpid(), SIGKILL);
}

}  // namespace weft::detail
