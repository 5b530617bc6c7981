#pragma once

#include <cstddef>

namespace weft::patch {

/// A line for stderr, put together without allocating: it may be said in the midst of a foreign library.
class Message {
 public:
  [[gnu::format(printf, 2, 3)]] void add(const char* format, ...) noexcept;
  /// "libfoo.so(function+0x12)", as far as the dynamic linker knows.
  void add_place(const void* address) noexcept;
  void write() const noexcept;

 private:
  char text_[2048];
  std::size_t size_ = 0;
};

/// WEFT_PATCH=quiet: nothing is to be said.
[[nodiscard]] bool is_quiet() noexcept;

}  // namespace weft::patch
