#pragma once

#include <cstdint>

#include "engine/foreign_calls.hpp"

namespace weft::patch {

class Call;

/// Around each wait of a patched call. If the fiber holds pthread mutexes it is told, once a place, and whoever
/// wants one of them on a fiber can see that its holder waits (locks.cpp).
class WaitingWithLocks {
 public:
  explicit WaitingWithLocks(const Call& call) noexcept;
  ~WaitingWithLocks() {
    if (locks_) leave();
  }
  WaitingWithLocks(const WaitingWithLocks&) = delete;
  WaitingWithLocks& operator=(const WaitingWithLocks&) = delete;

  /// Whether a fiber that waits holds this mutex.
  [[nodiscard]] static bool one_holds(const void* mutex) noexcept;
  /// In a forked child, which has no fibers.
  static void forget_all() noexcept;

 private:
  void leave() noexcept;
  [[nodiscard]] bool holds(const void* mutex) const noexcept;

  const detail::ForeignLocks* locks_ = nullptr;  // null: nothing is held
  WaitingWithLocks* next_ = nullptr;             // this and below: links of the list of all
  WaitingWithLocks* previous_ = nullptr;
};

}  // namespace weft::patch
