#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

namespace weft::port {

/// The calls that led to a throw, as return addresses, innermost first. They begin within the C++ runtime's own throwing.
class ThrowTrace {
 public:
  static constexpr std::size_t kMost = 64;

  [[nodiscard]] std::span<const std::uintptr_t> callers() const noexcept { return {callers_, count_}; }
  void clear() noexcept { count_ = 0; }
  /// False: it is full.
  bool add(std::uintptr_t caller) noexcept {
    if (count_ == kMost) return false;
    callers_[count_++] = caller;
    return true;
  }

 private:
  std::uintptr_t callers_[kMost];
  std::size_t count_ = 0;
};

/// Calls call(argument); see watch_throw().
void watch_call(void (*call)(void*), void* argument, ThrowTrace& trace);

/// Calls body(). When an exception leaves it, `trace` says where that was thrown: the last time, if it was caught within and thrown again.
/// Costs a call while nothing is thrown; a throw, about as much again as the search for its handler. On processors other than x86-64
/// and aarch64 the trace stays empty, and so it does for forced unwinding (pthread_exit), which searches for nothing.
template <class Body>
void watch_throw(ThrowTrace& trace, Body&& body) {
  using Callable = std::remove_reference_t<Body>;
  watch_call([](void* argument) { (*static_cast<Callable*>(argument))(); }, std::addressof(body), trace);
}

}  // namespace weft::port
