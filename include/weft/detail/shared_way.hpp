#pragma once

// What select() waits for at objects in memory that processes share.

#include <atomic>
#include <cstdint>

#include <weft/detail/selectable.hpp>

namespace weft::process::detail {

struct WatchedWord;

/// What else may end a wait: asked by a thread of this process, every 10 to 100 ms and when a watched process ends,
/// while the waiter is held in its wait. True: the waiter is to look again. It must not block, nor wait itself; it
/// may wake.
struct Look {
  bool (*call)(void* object) noexcept = nullptr;
  void* object = nullptr;
};

/// One wait for a word, in the blocked frame. What follows `entry` is guarded by the lock of all such waits
/// (src/process/shared_futex.cpp).
struct SharedWaiter {
  const std::atomic<std::uint32_t>* word = nullptr;
  std::uint32_t expected = 0;
  Look look = {};
  weft::detail::Entry* entry = nullptr;
  bool linked = false;
  SharedWaiter* next = nullptr;
  SharedWaiter* previous = nullptr;
  // If the word is watched for it: among those of the same word.
  WatchedWord* watched = nullptr;
  SharedWaiter* next_of_word = nullptr;
  SharedWaiter* previous_of_word = nullptr;

  [[nodiscard]] bool has_changed() const noexcept {
    return word->load(std::memory_order_seq_cst) != expected;
  }
};

/// A change in shared memory. That a word has changed is a hint, never a grant: what is waited for is taken, or not, when the hint has come, so
/// that a process that is killed at any moment of a select() has taken it or has left it.
class SharedWay : public weft::detail::Selectable {
 public:
  SharedWay() { outside = true; }

  bool try_now() final;
  bool enlist() noexcept final;
  void withdraw() noexcept final;
  bool accept(weft::detail::Outcome how) noexcept final;

 private:
  /// Takes what is waited for, if it is there. `slept`: after a hint. Throws: nothing is taken.
  virtual bool take(bool slept) = 0;
  /// Says what word is expected to be what. False: what is waited for may be there.
  virtual bool expect(SharedWaiter& waiter) noexcept = 0;
  /// The wait has ended by something else. `told`: perhaps with a hint, which somebody else is to have.
  virtual void leave(bool told) noexcept = 0;

  SharedWaiter waiter_;
  bool refused_ = false;
};

}  // namespace weft::process::detail
