#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/wait_list.hpp>

namespace weft::detail {

/// A descriptor that weft does not own and must not change, by its number, for fibers that wait for it inside a
/// foreign call.
///
/// Nothing is remembered about it but who waits. It is registered for one event at a time, for what its waiters ask
/// for (EPOLLONESHOT), and again for the next wait: that costs a system call a wait, but whatever was closed,
/// duplicated and opened again under the same number behind our back, a wait begins with the truth. An event that
/// was meant for an earlier owner of the number only makes somebody look once more. All share one epoll instance
/// beside the reactors' own, which may know the same descriptor as a weft::Socket's; reactors poll it as one of
/// theirs.
class ForeignDescriptor {
 public:
  /// Null: the number is beyond the table, or there is no memory for it.
  [[nodiscard]] static ForeignDescriptor* at(unsigned fd) noexcept;

  /// Links an entry that waits for these events of poll(2). 0, or what epoll_ctl said, negative: then it is not linked.
  [[nodiscard]] int enlist(unsigned fd, Entry& entry, short events) noexcept;
  void withdraw(Entry& entry) noexcept;
  void on_events(unsigned fd, std::uint32_t epoll_events) noexcept;

 private:
  friend void foreign_closing(unsigned first, unsigned last) noexcept;
  friend void foreign_closed(unsigned first, unsigned last) noexcept;
  friend void forget_foreign_waiters() noexcept;

  static constexpr std::uint32_t kList = 1, kUsed = 2;
  using Guard = ListGuard<std::uint32_t, kList>;

  /// One that has been waited for since it was last closed. Null: nobody need be told about this number.
  [[nodiscard]] static ForeignDescriptor* used(unsigned fd) noexcept;
  [[nodiscard]] int ask_for_events(unsigned fd) const noexcept;
  void wake_everybody(Outcome outcome, int epoll, unsigned fd) noexcept;

  std::atomic<std::uint32_t> state_{0};
  WaitList waiters_;  // guarded by kList; an entry's tag is what it waits for
};

/// Makes the calling fiber's reactor poll them. 0 or a negative errno.
[[nodiscard]] int watch_foreign_descriptors() noexcept;
/// For the reactor: what has happened to them.
void poll_foreign_descriptors() noexcept;

void foreign_closing(unsigned first, unsigned last) noexcept;
void foreign_closed(unsigned first, unsigned last) noexcept;
/// In a forked child: nobody waits, and the epoll instance is the parent's.
void forget_foreign_waiters() noexcept;

}  // namespace weft::detail
