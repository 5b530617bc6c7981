#pragma once

#include <atomic>

namespace weft::patch {

/// Finds what the program would call if this library were not there. Ends the program when there is no such function.
[[nodiscard]] void* find_next(const char* name) noexcept;

/// The function of this name in the libraries behind this one, found on first use: calls may come before any
/// constructor has run, from the dynamic linker's own or another library's.
template <class Function>
class Real {
 public:
  constexpr explicit Real(const char* name) noexcept : name_{name} {}

  template <class... Arguments>
  auto operator()(Arguments... arguments) {
    Function* found = found_.load(std::memory_order_relaxed);
    if (!found) [[unlikely]] {
      found = reinterpret_cast<Function*>(find_next(name_));
      found_.store(found, std::memory_order_relaxed);  // whoever else looks finds the same
    }
    return found(arguments...);
  }

 private:
  const char* name_;
  std::atomic<Function*> found_{nullptr};
};

/// A Real named real_NAME, for the function that the system's headers declare under this name.
#define WEFT_PATCH_REAL(NAME) constinit inline ::weft::patch::Real<decltype(::NAME)> real_##NAME(#NAME)

/// Before the definition of a function that replaces another library's.
#define WEFT_PATCHES extern "C" __attribute__((visibility("default")))

}  // namespace weft::patch
