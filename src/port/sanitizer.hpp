#pragma once

// What the sanitizers must be told about fibers: one small set of calls, empty in ordinary builds.

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_HAS_ASAN 1
#endif
#endif

// WEFT_TSAN: worker.cpp, which is built without the instrumentation, must still make the calls.
#if defined(__SANITIZE_THREAD__) || defined(WEFT_TSAN)
#define WEFT_HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_HAS_TSAN 1
#endif
#endif

#ifdef WEFT_HAS_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WEFT_HAS_TSAN
#include <sanitizer/tsan_interface.h>
extern "C" void AnnotateIgnoreWritesBegin(const char* file, int line);
extern "C" void AnnotateIgnoreWritesEnd(const char* file, int line);
#endif

/// For functions about a thread's own variables: the fibers it runs, unordered threads to ThreadSanitizer, take turns there.
#define WEFT_PER_THREAD __attribute__((no_sanitize("thread")))

namespace weft::port {

#if defined(WEFT_HAS_ASAN) || defined(WEFT_HAS_TSAN)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#ifdef WEFT_HAS_TSAN
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

/// What a sanitizer keeps for one stack.
struct SanitizerState {
#ifdef WEFT_HAS_ASAN
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  std::size_t size = 0;
#endif
#ifdef WEFT_HAS_TSAN
  void* fiber = nullptr;
#endif
};

/// A new stack is about to be used: [bottom, bottom + size).
inline void sanitizer_begin([[maybe_unused]] SanitizerState& state, [[maybe_unused]] void* bottom,
                            [[maybe_unused]] std::size_t size) {
#ifdef WEFT_HAS_ASAN
  __asan_unpoison_memory_region(bottom, size);
  state.fake_stack = nullptr;
  state.bottom = bottom;
  state.size = size;
#endif
#ifdef WEFT_HAS_TSAN
  state.fiber = __tsan_create_fiber(0);
#endif
}

/// The stack's user has ended and some other stack is running.
inline void sanitizer_end([[maybe_unused]] SanitizerState& state) {
#ifdef WEFT_HAS_TSAN
  __tsan_destroy_fiber(state.fiber);
  state.fiber = nullptr;
#endif
}

/// The calling thread's own stack.
inline void sanitizer_adopt_thread([[maybe_unused]] SanitizerState& state, [[maybe_unused]] void* bottom,
                                   [[maybe_unused]] std::size_t size) {
#ifdef WEFT_HAS_ASAN
  state.bottom = bottom;
  state.size = size;
#endif
#ifdef WEFT_HAS_TSAN
  state.fiber = __tsan_get_current_fiber();
#endif
}

/// Immediately before a switch. `leaving_for_good`: `from` will not run again.
inline void sanitizer_before_switch([[maybe_unused]] SanitizerState& from, [[maybe_unused]] SanitizerState& to,
                                    [[maybe_unused]] bool leaving_for_good) {
#ifdef WEFT_HAS_ASAN
  __sanitizer_start_switch_fiber(leaving_for_good ? nullptr : &from.fake_stack, to.bottom, to.size);
#endif
#ifdef WEFT_HAS_TSAN
  // No implied synchronization: a race that only a lucky schedule hides is reported.
  __tsan_switch_to_fiber(to.fiber, __tsan_switch_to_fiber_no_sync);
#endif
}

/// The same between stacks that take turns: what precedes the switch happens before what follows it.
inline void sanitizer_before_turn([[maybe_unused]] SanitizerState& from, [[maybe_unused]] SanitizerState& to,
                                  [[maybe_unused]] bool leaving_for_good) {
#ifdef WEFT_HAS_ASAN
  __sanitizer_start_switch_fiber(leaving_for_good ? nullptr : &from.fake_stack, to.bottom, to.size);
#endif
#ifdef WEFT_HAS_TSAN
  __tsan_switch_to_fiber(to.fiber, 0);
#endif
}

/// Immediately after a switch, on the stack of `now`.
inline void sanitizer_after_switch([[maybe_unused]] SanitizerState& now) {
#ifdef WEFT_HAS_ASAN
  __sanitizer_finish_switch_fiber(now.fake_stack, nullptr, nullptr);
#endif
}

/// What precedes release(x) happens before what follows acquire(x): a task that is made runnable and then runs, a stack
/// that is left for good and then used again.
inline void sanitizer_release([[maybe_unused]] void* object) {
#ifdef WEFT_HAS_TSAN
  __tsan_release(object);
#endif
}
inline void sanitizer_acquire([[maybe_unused]] void* object) {
#ifdef WEFT_HAS_TSAN
  __tsan_acquire(object);
#endif
}

/// While it lives, ThreadSanitizer does not see what this thread writes: the first frame of a stack it will not run on.
class UnseenWrites {
 public:
  UnseenWrites() {
#ifdef WEFT_HAS_TSAN
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
  }
  ~UnseenWrites() {
#ifdef WEFT_HAS_TSAN
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
#endif
  }
  UnseenWrites(const UnseenWrites&) = delete;
  UnseenWrites& operator=(const UnseenWrites&) = delete;
};

}  // namespace weft::port
