#pragma once

#include <atomic>
#include <cstdint>

#include <weft/base/deadline.hpp>

namespace weft::detail {

class Descriptor;

/// One epoll instance. Reactors are never destroyed: a later runtime takes over one that a former gave back, with all
/// that is registered there, so that "registered with reactor n" in a descriptor stays true for ever.
class Reactor {
 public:
  static constexpr unsigned kMost = 64;

  /// Throws OSError when the kernel gives no descriptor, Error when kMost runtimes exist at once.
  [[nodiscard]] static Reactor& take();
  static void give_back(Reactor& reactor) noexcept;
  /// In a forked child: all reactors of the parent are left alone (their epoll instances are shared with it).
  static void forget_all() noexcept;
  static void lock_for_fork() noexcept;
  static void unlock_after_fork() noexcept;

  /// Bit of this reactor in a descriptor's set of registrations.
  [[nodiscard]] std::uint64_t bit() const noexcept { return std::uint64_t{1} << number_; }

  /// Registers edge-triggered interest in everything. 0 or a negative errno.
  [[nodiscard]] int add(int fd, Descriptor& descriptor, std::uint16_t generation) noexcept;
  void remove(int fd) noexcept;
  /// From now on polls the descriptors that weft does not own as well (foreign_descriptors.hpp). 0 or a negative errno.
  [[nodiscard]] int watch_foreign(int foreign_epoll) noexcept;
  [[nodiscard]] static Reactor* numbered(unsigned number) noexcept;

  /// Waits for events until the deadline and wakes whom they concern. One caller at a time is enough; more do no harm.
  void poll(Deadline deadline) noexcept;
  /// Ends a poll() in progress, or the next one.
  void wake() noexcept;

 private:
  explicit Reactor(unsigned number);

  unsigned number_;
  int epoll_ = -1;
  int wake_event_ = -1;
  std::atomic<bool> watches_foreign_{false};
};

}  // namespace weft::detail
