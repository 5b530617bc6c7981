#pragma once

#include <atomic>
#include <cstddef>
#include <new>
#include <source_location>
#include <utility>

#include <weft/sync/once.hpp>

namespace weft {

/// The one T of the program, made by whoever asks for it first.
///
/// Semantics:     a double check: whoever finds it made pays one load, the others meet at a Once. A constructor that throws
///                has made nothing: the next to ask tries again. One that asks for its own instance waits for itself.
///                It is never destroyed, so that threads, fibers and destructors of global objects may use it while the
///                program ends; what must happen at the end (a file to be flushed) needs a call of its own.
/// Thread-safety: from any thread or fiber, at any time, also before main(). T's own members are T's business.
/// Blocking:      while another context makes it. Throws Cancelled when this fiber is killed meanwhile.
/// Ordering:      the finished object is seen.
/// Cost:          one load; room for one T, no heap.
///
/// A T that is to have no other instances makes its constructors private and Singleton<T> its friend.
template <class T>
class Singleton {
 public:
  Singleton() = delete;

  /// `arguments` are for the constructor, and looked at by the call that makes it only.
  template <class... Args>
  [[nodiscard]] static T& instance(Args&&... arguments) {
    // Acquire: pairs with the release in make(), so that the object is seen as its constructor left it.
    T* made = made_.load(std::memory_order_acquire);
    return made ? *made : make(std::forward<Args>(arguments)...);
  }

 private:
  template <class... Args>
  [[gnu::noinline]] static T& make(Args&&... arguments) {
    once_.call([&] {
      made_.store(::new (static_cast<void*>(room_)) T(std::forward<Args>(arguments)...), std::memory_order_release);
    });
    return *made_.load(std::memory_order_relaxed);  // call() has ordered it
  }

  // Says which T in reports.
  static constexpr const char* name() { return std::source_location::current().function_name(); }

  alignas(T) static inline std::byte room_[sizeof(T)];
  static inline constinit std::atomic<T*> made_{nullptr};
  static inline constinit Once once_{name()};
};

}  // namespace weft
