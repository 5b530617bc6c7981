#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/detail/context.hpp>

namespace weft::detail {

/// One way for a select() to end: what an object that can be waited for implements. select() calls, in this order,
/// always from the context that waits and with no list bit held:
///
///   try_now()          until it, or that of another case, says true
///   enlist()           when no case was ready; then accept() for at most one of them, withdraw() for the others
///   run()              of the case that was chosen
///
/// The object that claims `entry` does so by WaitList's claim_front() or claim_all(), as for any waiter: they put the
/// number of the case, which is in the entry, into the outcome beside what the object says.
class Selectable {
 public:
  enum class Role : std::uint8_t {
    Object,    ///< Something that happens.
    Deadline,  ///< Chosen at `deadline` if nothing else has been.
    Otherwise  ///< Chosen if nothing is ready.
  };

  Selectable() = default;
  Selectable(const Selectable&) = delete;
  Selectable& operator=(const Selectable&) = delete;
  virtual ~Selectable() = default;

  /// If what is waited for is there: takes it, or remembers the failure that run() is to throw. May throw: nothing is
  /// taken.
  virtual bool try_now() { return false; }
  /// Links `entry`, which belongs to the wait already, into the object's list, under its list bit, unless what is
  /// waited for may be there: false. A thread that has to poll a descriptor meanwhile is told by `fd` and `events`.
  virtual bool enlist() noexcept { return true; }
  /// Takes `entry` out of the list, if it is still linked.
  virtual void withdraw() noexcept {}
  /// `entry` was claimed, and so unlinked, with `how`. False: for nothing, so that select() has to go on.
  virtual bool accept([[maybe_unused]] Outcome how) noexcept { return true; }
  /// Calls the callable with what was taken, or throws.
  virtual void run() = 0;

  Entry entry;
  Role role = Role::Object;
  bool outside = false;  ///< Something outside of this process may make it ready.
  Deadline deadline;
  int fd = -1;
  short events = 0;

 protected:
  /// What run() of a SelectCase does; hidden by ways that have something to hand over, or to note.
  template <class F>
  void finish(F& callable) {
    callable();
  }
};

/// A case with a callable, which `Way` is told to call by finish(callable).
template <class Way, class F>
class SelectCase final : public Way {
 public:
  template <class... Args>
  explicit SelectCase(F callable, Args&&... args) : Way(std::forward<Args>(args)...), callable_(std::move(callable)) {}
  void run() override { this->finish(callable_); }

 private:
  F callable_;
};

inline constexpr std::size_t kMostSelectCases = 128;

/// Waits for one of so many cases and has it taken, not run; the others have taken nothing. Returns its index.
/// Throws: what try_now() throws, or what interrupts a wait.
[[nodiscard]] std::size_t select_among(Selectable* const* cases, std::size_t count);

}  // namespace weft::detail
