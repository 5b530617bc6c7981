#pragma once

#include <atomic>
#include <cstdint>

#include <weft/base/deadline.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

/// One file descriptor that fibers and threads can wait on. Pooled and never freed, so that a late event of a closed
/// descriptor finds memory that only its generation tells apart. Errors are returned as negative errno values.
///
/// One operation, between enter() and leave():
///   seen = readiness(dir); if may_be_ready(seen, dir): the system call; would block: drained(seen, dir), then wait(dir);
///   moved less than asked: short_transfer(seen, dir). Not ready, or drained: wait(dir), and again from the start.
///
/// The word of readiness, `state_`:
///   bit 0 list   bit 1 readable   bit 2 writable   bit 3 an edge no short read may be trusted after (end of stream,
///   error, urgent data)   bits 8-63 count of events, so that "drained" never erases an edge that came in between
class Descriptor {
 public:
  enum class Direction : std::uint8_t { Read, Write };
  /// TcpStream: a short read or write means that there is no more, except after certain edges. UNIX streams stop at a
  /// passed descriptor, messages end where they end: there only EAGAIN says so.
  enum class Nature : std::uint8_t { TcpStream, OtherStream, Message };

  /// O_NONBLOCK belongs to the open file, which other processes may share: whoever adopts it AsItIs never waits in a
  /// system call in some other way (MSG_DONTWAIT).
  enum class Mode : bool { NonBlocking, AsItIs };

  /// Takes the descriptor over. Throws OSError; `fd` then still belongs to the caller.
  [[nodiscard]] static Descriptor* adopt(int fd, Nature nature, Mode mode = Mode::NonBlocking);

  /// Users are counted, so that close() under a running call cannot let the number be reused. False: closed.
  [[nodiscard]] bool enter() noexcept {
    const std::uint32_t before = users_.fetch_add(kUser, std::memory_order_acquire);
    if (!(before & kClosedForUse)) [[likely]] return true;
    leave();
    return false;
  }
  void leave() noexcept {
    std::uint32_t seen = users_.load(std::memory_order_relaxed);
    while (!(seen & kClosedForUse)) {
      if (users_.compare_exchange_weak(seen, seen - kUser, std::memory_order_acq_rel, std::memory_order_relaxed)) return;
    }
    leave_closed();
  }

  /// Between enter() and leave(): valid. Otherwise -1 once closed.
  [[nodiscard]] int fd() const noexcept { return fd_.load(std::memory_order_relaxed); }

  [[nodiscard]] std::uint64_t readiness(Direction) const noexcept { return state_.load(std::memory_order_acquire); }
  [[nodiscard]] static bool may_be_ready(std::uint64_t seen, Direction direction) noexcept {
    return (seen & ready_bit(direction)) != 0;
  }
  void drained(std::uint64_t seen, Direction direction) noexcept;
  void short_transfer(std::uint64_t seen, Direction direction) noexcept {
    if (nature_ == Nature::TcpStream && !(seen & kTrustNoShortRead)) drained(seen, direction);
  }

  /// Blocks until the descriptor may be ready. 0, -ETIMEDOUT, -ECANCELED (this context was killed: leave(), then
  /// throw_interruption()), -EBADF (closed meanwhile), or what epoll_ctl said.
  [[nodiscard]] int wait(Direction direction, Deadline deadline) noexcept;
  /// The same, known to reports as `record` says.
  [[nodiscard]] int wait(Direction direction, Deadline deadline, const Wait& record) noexcept;

  // For a wait in several places. Between enter() and leave().
  /// Links an entry. 0; 1: it may be ready; -EBADF: closed; or what epoll_ctl said.
  [[nodiscard]] int enlist(Direction direction, Entry& entry) noexcept;
  void withdraw(Direction direction, Entry& entry) noexcept;
  /// The kernel says so, of which a thread that polls hears before the reactor does.
  void note_ready(Direction direction) noexcept;
  /// What a thread polls for meanwhile.
  [[nodiscard]] static short poll_events(Direction direction) noexcept;

  /// Wakes every waiter with -EBADF; the kernel's descriptor is closed when the last user has left. Again: no effect.
  void close() noexcept;
  /// The same, but the kernel's descriptor is handed to the caller, open; waits until no call uses it. -1: was closed.
  [[nodiscard]] int release_fd() noexcept;
  /// The handle goes: closes, and the memory may be used for another descriptor. Until then enter() may be called.
  void dispose() noexcept;

  // Around fork(). In the child nobody waits any more, no call is running, and nothing is registered with its reactors.
  static void lock_for_fork() noexcept;
  static void unlock_after_fork() noexcept;
  static void forget_waiters() noexcept;

  // For the reactor.
  void on_events(std::uint16_t generation, std::uint32_t epoll_events) noexcept;

 private:
  static constexpr std::uint64_t kList = 1, kReadable = 2, kWritable = 4, kTrustNoShortRead = 8;
  static constexpr std::uint64_t kEventOne = 256;
  static constexpr std::uint32_t kClosedForUse = 1, kDisposed = 2, kUser = 4;
  using Guard = ListGuard<std::uint64_t, kList>;

  static constexpr std::uint64_t ready_bit(Direction direction) {
    return direction == Direction::Read ? kReadable : kWritable;
  }

  [[nodiscard]] int wait_on_fiber(Direction direction, Deadline deadline, const Wait& record) noexcept;
  [[nodiscard]] int wait_on_thread(Direction direction, Deadline deadline, const Wait& record) noexcept;
  [[nodiscard]] int finish_wait(Direction direction, Entry& entry, Outcome outcome) noexcept;
  [[nodiscard]] int register_here() noexcept;
  [[nodiscard]] int link(Direction direction, Entry& entry, bool heeds_readiness) noexcept;
  void wake_everybody() noexcept;
  void leave_closed() noexcept;
  void mark_closed() noexcept;
  void close_fd() noexcept;
  void forget_registrations(int fd) noexcept;
  void recycle() noexcept;
  WaitList& waiters(Direction direction) { return direction == Direction::Read ? readers_ : writers_; }

  std::atomic<std::uint64_t> state_{0};
  std::atomic<std::uint32_t> users_{0};  // bit 0 closed, bit 1 the handle is gone; the rest counts running calls
  std::atomic<int> fd_{-1};
  Nature nature_ = Nature::OtherStream;
  std::atomic<std::uint16_t> generation_{0};
  std::atomic<std::uint64_t> reactors_{0};  // where it is registered, a bit each; guarded by kList for writing
  WaitList readers_;                        // guarded by kList
  WaitList writers_;                        // guarded by kList
  Descriptor* next_free_ = nullptr;
  Descriptor* next_made_ = nullptr;  // all that exist, for a forked child
};

}  // namespace weft::detail
