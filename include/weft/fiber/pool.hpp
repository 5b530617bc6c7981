#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <weft/base/deadline.hpp>
#include <weft/fiber/group.hpp>

namespace weft {

/// A Group of at most so many members: whoever would add one more waits until another has ended, or has been discarded.
///
///     weft::Pool pool{20};
///     for (;;) pool.spawn(serve, listener.accept());   // accepts no more than it can serve
///
/// Semantics:     after gevent.pool.Pool; for all but the bound, see Group. Those that wait for a place get it oldest
///                first. map(), imap() and apply() take part in that; one of them called by a member waits for a place
///                like any other, and for ever if all places are taken by such.
class Pool : public Group {
 public:
  /// Throws: Error for a size of none.
  explicit Pool(std::uint32_t size) : Group{std::make_shared<detail::GroupState>(size)}, capacity_{size} {}

  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
  /// Places left, a moment ago.
  [[nodiscard]] std::size_t free_count() const noexcept { return state().free_count(); }
  [[nodiscard]] bool full() const noexcept { return free_count() == 0; }

  /// Waits until there is a place, and leaves it to who comes first.
  void wait_available() { (void)wait_available_until(Deadline::never()); }
  /// False: there was none in time.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_available_for(std::chrono::duration<Rep, Period> timeout) {
    return wait_available_until(Deadline::after(timeout));
  }

 private:
  bool wait_available_until(Deadline deadline) {
    if (!state().enter(deadline)) return false;
    state().leave();
    return true;
  }

  const std::uint32_t capacity_;
};

}  // namespace weft
