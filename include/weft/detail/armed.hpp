#pragma once

#include <utility>

#include <weft/detail/context.hpp>

namespace weft::detail {

/// A wait of the calling context, `self`, that has been armed, until it begins.
class Armed {
 public:
  Armed() = default;
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;
  ~Armed() {
    // The call ended before it waited. A kill that came at the same moment is remembered for the next one.
    if (self_) disarm_granted(*self_);
  }

  /// Throws: what a wait is interrupted for.
  void begin(Context& self, Entry& entry) {
    if (!arm(self, entry, Interruptible::Yes)) throw_interruption();
    self_ = &self;
  }
  explicit operator bool() const noexcept { return self_ != nullptr; }
  /// The wait is now the caller's to finish.
  [[nodiscard]] Context& take() noexcept { return *std::exchange(self_, nullptr); }

 private:
  Context* self_ = nullptr;
};

}  // namespace weft::detail
