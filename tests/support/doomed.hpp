#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_TEST_ASAN 1
#endif
#endif
#ifdef WEFT_TEST_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace weft::test {

/// An object that is destroyed while others may still be about to touch it: they must not. Its memory stays, filled with a
/// pattern, so that a late write is found; under AddressSanitizer any access is.
template <class T>
class Doomed {
 public:
  template <class... Args>
  explicit Doomed(Args&&... args) {
    ::new (bytes_) T(std::forward<Args>(args)...);
  }
  Doomed(const Doomed&) = delete;
  Doomed& operator=(const Doomed&) = delete;
  ~Doomed() {
#ifdef WEFT_TEST_ASAN
    __asan_unpoison_memory_region(bytes_, sizeof bytes_);
#endif
  }

  T& operator*() { return *std::launder(reinterpret_cast<T*>(bytes_)); }
  T* operator->() { return &**this; }

  void destroy() {
    std::destroy_at(&**this);
    std::memset(bytes_, kPattern, sizeof bytes_);
#ifdef WEFT_TEST_ASAN
    __asan_poison_memory_region(bytes_, sizeof bytes_);
#endif
  }

  /// After destroy(), and once everybody has left: nobody has written since.
  [[nodiscard]] bool untouched() {
#ifdef WEFT_TEST_ASAN
    __asan_unpoison_memory_region(bytes_, sizeof bytes_);
#endif
    for (const std::byte b : bytes_) {
      if (b != std::byte{kPattern}) return false;
    }
    return true;
  }

 private:
  static constexpr unsigned char kPattern = 0xA5;
  alignas(T) std::byte bytes_[sizeof(T)];
};

}  // namespace weft::test
