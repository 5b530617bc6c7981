#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "port/context_switch.hpp"
#include "port/sanitizer.hpp"
#include "port/stack_memory.hpp"

namespace weft::port {

/// One end of a switch: a stack, and what AddressSanitizer keeps of it.
struct Side {
  void* saved = nullptr;
  SanitizerState sanitizer;

  /// The end that is the calling thread's own stack.
  void adopt_thread() {
    pthread_attr_t attributes;
    void* bottom = nullptr;
    std::size_t bytes = 0;
    ::pthread_getattr_np(::pthread_self(), &attributes);
    ::pthread_attr_getstack(&attributes, &bottom, &bytes);
    ::pthread_attr_destroy(&attributes);
    sanitizer_adopt_thread(sanitizer, bottom, bytes);
  }
};

using Switch = void* (*)(void** save, void* load, void* pass);

inline void* go(Side& from, Side& to, void* pass, bool for_good = false, Switch how = &weft_switch_context) {
  sanitizer_before_switch(from.sanitizer, to.sanitizer, for_good);
  void* passed = how(&from.saved, to.saved, pass);
  sanitizer_after_switch(from.sanitizer);
  return passed;
}

/// A body on a stack of its own and the switches to it and back, with nothing of the engine in between.
class Coroutine {
 public:
  using Body = std::function<void(Coroutine&)>;

  /// The context is made for a stack that ends `short_by` bytes below a page's end.
  explicit Coroutine(Body body, std::size_t short_by = 0) : body_{std::move(body)}, slab_{map_stacks(kStackBytes, 1)} {
    outside_.adopt_thread();
    inside_.saved = make_context(top() - short_by, &Coroutine::main);
    sanitizer_begin(inside_.sanitizer, bottom(), kStackBytes);
  }
  ~Coroutine() {
    sanitizer_end(inside_.sanitizer);
    unmap_stacks(slab_);
  }
  Coroutine(const Coroutine&) = delete;
  Coroutine& operator=(const Coroutine&) = delete;

  /// Runs the body until it suspends or ends; returns what it passes. The first call passes nothing of the caller's.
  void* resume(void* pass = nullptr, Switch how = &weft_switch_context) {
    return go(outside_, inside_, std::exchange(started_, true) ? pass : this, false, how);
  }
  /// From within the body: back to who resumed it; returns what the next resume() passes.
  void* suspend(void* pass = nullptr, Switch how = &weft_switch_context) {
    return go(inside_, outside_, pass, false, how);
  }

  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] std::byte* bottom() const { return slab_.memory; }
  [[nodiscard]] std::byte* top() const { return slab_.memory + kStackBytes; }
  /// Of the first frame on the stack, a multiple of 16 where the ABI is kept.
  [[nodiscard]] std::uintptr_t first_frame() const { return first_frame_; }

 private:
  static constexpr std::size_t kStackBytes = 256 * 1024;

  static void main(void* passed) {
    auto& self = *static_cast<Coroutine*>(passed);
    sanitizer_after_switch(self.inside_.sanitizer);
    self.first_frame_ = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    self.body_(self);
    self.done_ = true;
    go(self.inside_, self.outside_, nullptr, true);
  }

  const Body body_;
  const StackSlab slab_;
  Side outside_;
  Side inside_;
  bool started_ = false;
  bool done_ = false;
  std::uintptr_t first_frame_ = 0;
};

}  // namespace weft::port
